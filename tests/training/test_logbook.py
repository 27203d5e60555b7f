"""The record of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ghn.training import logbook
from ghn.training.logbook import Logbook
from tests.fuzzing.judge import forget_peak, peak_memory


def test_numbers_go_to_both_records(tmp_path: Path) -> None:
    log = Logbook(tmp_path)
    log.write(1, {"loss": 0.5, "note": "text", "nothing": None})
    log.close()
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 1, "loss": 0.5, "note": "text", "nothing": None}
    assert list((tmp_path / "tensorboard").iterdir())


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    log = Logbook(tmp_path)
    log.write(1, {"loss": 0.5})
    log.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.jsonl"]


def test_other_ranks_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Logbook(None)
    log.write(1, {"loss": 0.5})
    log.close()
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ""


def test_a_line_that_cannot_be_written_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Logbook(tmp_path)
    (tmp_path / "log.jsonl").mkdir()
    log.write(1, {"loss": 0.5})
    log.close()
    assert 'log line of step 1 not written (Is a directory): {"step": 1, "loss": 0.5}' in capsys.readouterr().err


def test_a_board_that_cannot_write_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Board:
        def add_scalar(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    log = Logbook(tmp_path)
    log.close()
    log._board = Board()
    for step in (1, 2):
        log.write(step, {"loss": 0.5})
    log.close()
    assert capsys.readouterr().err == "the TensorBoard record ends here (No space left on device)\n"
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_a_record_that_cannot_be_opened_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    monkeypatch.setattr(logbook, "_board", full)
    monkeypatch.setattr(logbook, "replaced", full)
    Logbook(tmp_path, start=1).close()
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].endswith("log.jsonl keeps lines after step 1 (No space left on device)")
    assert shown[1] == "no TensorBoard record (No space left on device)"
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize(
    "content",
    [
        "[" * 10**4 + "\n",
        '{"step": "x"}\n',
        '{"step": [1]}\n',
        "7\n",
        "\x00\n",
        '{"step": 1',
        "x" * 10**6,
        " " * 10**5 + "2\n",
    ],
)
def test_lines_that_are_none_are_dropped(tmp_path: Path, content: str) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n' + content)
    Logbook(tmp_path, start=3).close()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n'


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "log.jsonl")
    log = Logbook(tmp_path)
    log.write(1, {"loss": 0.5})
    log.close()
    lines = capsys.readouterr().err
    assert "log.jsonl is not a regular file" in lines
    assert "log line of step 1 not written" in lines


def test_a_whole_last_line_without_its_end_gets_it(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}')
    log = Logbook(tmp_path, start=2)
    log.write(3, {})
    log.close()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_what_is_no_log_is_neither_read_at_once_nor_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log.jsonl"
    for content, fault in (
        (b'{"step": 1}\n' + b"ab\n" * 2_000_000, "holds more than 100,000 lines of no log; its lines stay as they are"),
        (None, "has 1,099,511,627,776 bytes, more than any log; its lines stay as they are"),
    ):
        file.write_bytes(content or b"")
        if content is None:
            os.truncate(file, 1 << 40)
        forget_peak()
        before = peak_memory()
        Logbook(tmp_path, start=3).close()
        assert peak_memory() - before < 32 << 20
        assert capsys.readouterr().err == f"{file} {fault}\n"
        assert file.stat().st_size == (1 << 40 if content is None else len(content))
