"""Python programs in processes of their own that begin with PyTorch loaded, forked from a process that loaded it once.

Loading takes seconds of a processor, more than most of what tests let processes do. What a program does, and how it can
be signalled or killed, is as if it had been started by `python -c`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import IO, Any

LOADED = ("torch.distributed", "ghn.meta.run", "ghn.finetuning", "ghn.comparison")
"""What programs find loaded."""

COMMAND = "import sys; from ghn.cli import main; sys.exit(main())"
"""The program that `ghn` is."""


class Program:
    """A running program, used like a `subprocess.Popen` of text whose output goes into pipes.

    Args:
        source: The program.
        words: Its arguments.
        file: If given, the source is written there, and the program is that file, so that others can import it.
        env: Its environment; that of this process by default.
    """

    def __init__(
        self, source: str, *words: str, file: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        if file is not None:
            file.write_text(source, encoding="utf-8")
        told, tell = os.pipe()
        inputs, outputs, errors = os.pipe(), os.pipe(), os.pipe()
        request = {
            "source": source,
            "words": words,
            "file": None if file is None else str(file),
            "env": dict(os.environ if env is None else env),
            "folder": os.getcwd(),
        }
        theirs = [inputs[0], outputs[1], errors[1], tell]
        with tempfile.TemporaryFile() as told_in:
            told_in.write(json.dumps(request).encode())
            told_in.seek(0)
            socket.send_fds(_server()[0], [b"?"], [told_in.fileno(), *theirs])
        for number in theirs:
            os.close(number)
        self.stdin: IO[str] = os.fdopen(inputs[1], "w")
        self.stdout: IO[str] = os.fdopen(outputs[0])
        self.stderr: IO[str] = os.fdopen(errors[0])
        self._told = os.fdopen(told)
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self.close()

    def __del__(self) -> None:
        self.close()

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and give the exit code: that of a signal is negative."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("program", timeout or 0)
            self.returncode = int(self._told.readline())
        return self.returncode

    def communicate(self, text: str = "", timeout: float | None = None) -> tuple[str, str]:
        """What it writes to its output and errors until it ends, after reading a text."""
        end = None if timeout is None else time.monotonic() + timeout
        found: dict[int, str] = {}
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(text)
            self.stdin.close()
        pipes = dict(enumerate((self.stdout, self.stderr)))
        readers = [
            threading.Thread(target=lambda n=number, p=pipe: found.__setitem__(n, p.read()), daemon=True)
            for number, pipe in pipes.items()
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if end is None else max(0.0, end - time.monotonic()))
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        for reader in readers:
            reader.join()
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it without a chance to save."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes."""
        for pipe in (self.stdin, self.stdout, self.stderr, self._told):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The process that loads, which ends with this one, and the way to it."""
    ours, theirs = socket.socketpair()
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        cwd=root,
    )
    theirs.close()
    return ours, process


def _serve(requests: socket.socket) -> Iterator[dict[str, Any]]:
    """Fork for each request: here it ends, in the new process the request comes out."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, numbers, *_ = socket.recv_fds(requests, 1, 5)
        if not message:
            return
        if os.fork():
            for number in numbers:
                os.close(number)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asked, *streams, tell = numbers
        program = os.fork()
        if not program:
            requests.close()
            os.close(tell)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            os.setsid()
            with os.fdopen(asked) as file:
                yield json.load(file)
            return
        # The keeper, who says which process it is and how it ended.
        for number in (asked, *streams):
            os.close(number)
        os.write(tell, f"{program}\n".encode())
        _, status = os.waitpid(program, 0)
        with contextlib.suppress(BrokenPipeError):
            os.write(tell, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)


def _become(request: dict[str, Any]) -> None:
    """Run the program as the main module of this process."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main = ModuleType("__main__")
    name = request["file"] or "<string>"
    if request["file"]:
        main.__file__ = name
    sys.argv = [request["file"] or "-c", *request["words"]]
    sys.modules["__main__"] = main
    exec(compile(request["source"], name, "exec"), main.__dict__)


def _end(code: object) -> None:
    """End this process, but for taking what is loaded apart, which takes a second where memory is shared."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    import importlib

    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()
    for asked in _serve(socket.socket(fileno=int(sys.argv[1]))):
        try:
            _become(asked)
        except SystemExit as stop:
            _end(stop.code)
        except KeyboardInterrupt:
            traceback.print_exc()
            sys.stderr.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException:
            traceback.print_exc()
            _end(1)
        _end(0)
