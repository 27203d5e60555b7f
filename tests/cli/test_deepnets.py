"""`ghn deepnets`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ghn.cli import deepnets, parse


def run(*words: str) -> None:
    deepnets.run(parse(deepnets, "deepnets", words))


def test_it_lists_the_splits(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert "1,000,000" in capsys.readouterr().out
    run("--json")
    splits = {row["split"]: row for row in json.loads(capsys.readouterr().out)}
    assert splits["train"]["architectures"] == 1_000_000
    assert splits["deep"]["cells"] == [10, 36]


def test_it_summarises_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("bnfree", "--count", "5", "-o", str(tmp_path / "bnfree.json"))
    shown = capsys.readouterr().out
    assert "bnfree: 5 of 100 architectures at 32 pixels" in shown
    assert "without batch norm" in shown
    assert "100.0 %" in shown
    saved = json.loads((tmp_path / "bnfree.json").read_text())
    run("bnfree", "--count", "5", "--json")
    assert json.loads(capsys.readouterr().out) == saved
    assert saved["without_norm"] == 1


def test_it_describes_and_draws_an_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("test", "3", "-o", str(tmp_path / "graph.svg"))
    assert "architecture 3 of test" in capsys.readouterr().out
    assert (tmp_path / "graph.svg").read_text().startswith(("<svg", "<?xml"))
    run("test", "3", "--json", "-o", str(tmp_path / "a.json"))
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "a.json").read_text())
    assert record["net_args"]["C"] == 32
    assert record["nodes"] > 10
    assert record["megamacs"] > 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "unknown split 'nosuch'; there are train, val, test"),
        (["test", "500"], "test has architectures 0 to 499, not 500"),
        (["test", "1", "-o", "x.png"], r"the output x\.png must end in"),
        (["test", "--count", "0"], "count must be between 1 and 500, not 0"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(*words)
