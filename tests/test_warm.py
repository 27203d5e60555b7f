"""Forked programs are as if Python had started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm import Program

SOURCE = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ.get("X"), __name__, input())
print("told", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("last", "code"), [("sys.exit(3)", 3), ("sys.exit('no')", 1), ("1 / 0", 1), ("pass", 0), ("os.abort()", -6)]
)
def test_a_program_is_as_if_started_by_python(
    last: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "X": "1"}
    warm = Program(SOURCE + last, "a", "b c", env=environment)
    output, errors = warm.communicate("hello\n", timeout=60)
    cold = subprocess.run(
        [sys.executable, "-c", SOURCE + last, "a", "b c"],
        input="hello\n",
        env=environment,
        text=True,
        capture_output=True,
    )
    assert (output, warm.returncode) == (cold.stdout, cold.returncode)
    assert warm.returncode == code
    assert errors.splitlines()[0] == cold.stderr.splitlines()[0] == "told"
    assert errors.splitlines()[-1] == cold.stderr.splitlines()[-1]


def test_signals_reach_it() -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        with Program("import time; print('there', flush=True); time.sleep(100)") as program:
            assert program.stdout.readline() == "there\n"
            assert program.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                program.wait(0.1)
            program.send_signal(number)
            assert program.wait(30) == -number


def test_it_has_a_group_of_its_own_and_an_interrupt_is_one() -> None:
    with Program("import time; print('there', flush=True); time.sleep(100)") as program:
        program.stdout.readline()
        assert os.getpgid(program.pid) == program.pid != os.getpgid(0)
        os.killpg(program.pid, signal.SIGINT)
        _, errors = program.communicate(timeout=30)
        assert program.returncode == -signal.SIGINT
        assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_pytorch_is_loaded_already() -> None:
    program = "import time, torch; assert torch.ones(2).sum() == 2; print(time.process_time())"
    output, _ = Program(program).communicate(timeout=60)
    assert float(output) < 1, "seconds of a processor that loading takes"
