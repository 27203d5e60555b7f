"""`ghn watch`."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.training.logbook import FILE
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]


@pytest.fixture
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / FILE).write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    return folder


def test_a_page_is_written(ghn: Ghn, tmp_path: Path, run_folder: Path) -> None:
    result = ghn("watch", str(run_folder), "-o", "OUT/x.html")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("x.html: 1 trainings; open it in a browser\n")
    assert '"loss":[[1,2],[2.0,1.0]]' in (tmp_path / "x.html").read_text()


def test_it_serves_until_it_is_interrupted(run_folder: Path) -> None:
    command = [sys.executable, "-m", "ghn", "watch", str(run_folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", said)
        with urllib.request.urlopen(url + "data", timeout=20) as answer:
            assert b'"loss"' in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["no-such-folder"], "does not exist; start a training first"),
        (["zoo.py"], "is no folder"),
        ([".", "-o", "OUT/x.svg"], "must end in .html or .htm"),
        ([".", "--port", "70000"], "--port must lie between"),
        ([".", "--seconds", "0"], "--seconds must lie between"),
    ],
)
def test_watch_refuses(words: list[str], part: str, refused: Refused) -> None:
    assert part in refused("watch", *words)
