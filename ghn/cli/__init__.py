"""The command `ghn`: one file a command, each with a dataclass `Options` and a function `run(options)`.

To add a command, write `ghn/cli/<name>.py` and add a line to `COMMANDS` of `ghn/cli/support/commands.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ghn.cli.support.commands import COMMANDS, module_of
from ghn.cli.support.errors import CommandError
from ghn.cli.support.parser import parse
from ghn.cli.support.results import results_apart

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

LONGEST_LINE = 2000
"""Characters of an error's line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit code: 0, 1 for an unexpected error, 2 for bad usage or input, 130 when interrupted. Errors are one line
        on stderr; `--debug` shows where an error came from.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _show_what_can_be_shown()
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with _libraries_silent(not debug):
            return _dispatch(words)
    except KeyboardInterrupt as stop:
        return _fail(f"interrupted: {_line(stop)}" if str(stop) else "interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ValueError as error:
        if debug:
            raise
        return _fail(_line(error), BAD_USAGE)
    except CommandError as error:
        if debug:
            raise
        return _fail(_line(error), FAILED)
    except Exception as error:
        if debug:
            raise
        if _lacks_memory(error):
            return _fail(f"there is not enough memory for this ({_line(error)[:200]})", FAILED)
        return _fail(f"{type(error).__name__}: {_line(error)} (run again with --debug to see where)", FAILED)


def program() -> NoReturn:
    """The command as a process, which ends with its last line: to take PyTorch apart would take a second."""
    code = main()
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if others or sys.gettrace() is not None or sys.getprofile() is not None:
        sys.exit(code)  # what runs on, or measures, is waited for
    atexit._run_exitfuncs()
    # Files that a user's model left open are closed by Python at its end, too.
    for opened in gc.get_objects():
        if issubclass(type(opened), io.IOBase):
            with contextlib.suppress(Exception):
                opened.flush()
    os._exit(code)


def _show_what_can_be_shown() -> None:
    """Characters that the terminal's encoding lacks become question marks, not errors; what is closed shows nothing."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def _libraries_silent(silent: bool) -> Iterator[None]:
    """Keep log records of libraries off the terminal, where what fails is told in a line, and warnings to a line."""
    import logging

    before, formatted = logging.root.manager.disable, warnings.formatwarning
    if silent:
        logging.disable(logging.CRITICAL)
        warnings.formatwarning = _warning_line
    try:
        yield
    finally:
        logging.disable(before)
        warnings.formatwarning = formatted


def _warning_line(message: Warning | str, *_: Any, **__: Any) -> str:
    from ghn.common.text import one_line

    return f"warning: {one_line(' '.join(str(message).split()), LONGEST_LINE)}\n"


def _dispatch(words: list[str]) -> int:
    command, *rest = words or ["--help"]
    if command in ("-h", "--help", "help"):
        print(_help())
        return DONE
    if command in ("-V", "--version"):
        from importlib.metadata import version

        print(f"ghn {version('ghn')}")
        return DONE
    if command not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown command {command!r}: {hint}there are {', '.join(COMMANDS)}")
    module = importlib.import_module(module_of(command))
    try:
        options = parse(module, command, rest)
    except SystemExit:
        return DONE
    try:
        with results_apart() if getattr(options, "json", False) else contextlib.nullcontext():
            module.run(options)
    except ValueError as error:
        from ghn.common.settings import SettingError

        # Options are called like the fields of configurations: told in what the user typed.
        if not (isinstance(error, SettingError) and hasattr(options, error.name)):
            raise
        raise ValueError(f"--{error.name.replace('_', '-')} {error.fault}") from error
    return DONE


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ghn COMMAND [OPTIONS]",
            "",
            "Predict good initial parameters for any PyTorch model with graph hypernetworks.",
            "",
            "commands:",
            *lines,
            "",
            "`ghn COMMAND --help` shows a command's options.",
            "`--debug` shows the traceback of an error, `ghn --version` the version.",
        ]
    )


def _line(error: BaseException) -> str:
    """The error's text on one line."""
    from ghn.common.text import one_line

    return one_line(" ".join(str(error).split()), LONGEST_LINE) or type(error).__name__


def _lacks_memory(error: Exception) -> bool:
    from ghn.common.memory import is_out_of_memory

    return is_out_of_memory(error)


def _fail(line: str, code: int) -> int:
    print(f"error: {line}", file=sys.stderr)
    return code
