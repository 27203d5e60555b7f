"""What tasks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ghn.analysis.records import Record
from ghn.cli.analyses.shared import (
    NetworkOptions,
    StartOptions,
    check_outputs,
    failures,
    networks_of,
    number,
    table_of,
    working,
)
from tests.analysis.networks import SMALL, WIDER


def test_options_name_networks() -> None:
    options = StartOptions(models=(f"{SMALL},{WIDER}",), split=("test:2", "wide:1"), init=("default,orthogonal",),
        data="noise", image_size=32, num_classes=10, images=3)  # fmt: skip
    networks = networks_of(options)
    assert networks.config.models == (SMALL, WIDER)
    assert networks.config.splits == {"test": 2, "wide": 1}
    assert networks.config.starts == ("default", "orthogonal")
    assert networks_of(options, starts=("lsuv",)).config.starts == ("lsuv",)


@pytest.mark.parametrize("text", ["test", "test:", "test:two", ":3", "test:-1"])
def test_a_split_has_a_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"takes a split and a number of its networks|unknown split"):
        networks_of(NetworkOptions(split=(text,)))


def test_a_table_is_csv_with_empty_cells() -> None:
    rows: list[dict[str, Any]] = [{"model": 'a,"b"', "x": 0.5}, {"model": "c", "x": None, "y": float("nan")}]
    assert table_of(rows) == 'model,x,y\n"a,""b""",0.5,\nc,,\n'


def test_outputs_are_checked_before_any_work(tmp_path: Path) -> None:
    check_outputs(NetworkOptions(output=(tmp_path / "a.json", tmp_path / "a.csv")))
    with pytest.raises(ValueError, match=r"must end in .json or .csv"):
        check_outputs(NetworkOptions(output=(tmp_path / "a.txt",)))
    with pytest.raises(ValueError, match="does not exist; make it first"):
        check_outputs(NetworkOptions(output=(tmp_path / "b" / "a.json",)))


def test_failures_are_lines_and_an_error_if_there_is_nothing_else() -> None:
    sound = Record(model="a", family="", start="default")
    failed = Record(model="b", family="", start="default", error="it broke")
    assert failures([sound, failed]) == ["b from default failed: it broke"]
    with pytest.raises(ValueError, match="no network could be looked at: b from default failed: it broke"):
        failures([failed])


@pytest.mark.parametrize(("folder", "text"), [(None, "nothing is kept"), (Path("x"), "the same command goes on")])
def test_an_interruption_says_what_is_kept(folder: Path | None, text: str) -> None:
    with pytest.raises(KeyboardInterrupt, match=text), working(StartOptions(folder=folder, quiet=True)):
        raise KeyboardInterrupt


def test_numbers() -> None:
    assert [number(value) for value in (None, float("nan"), 0.0, 123456.0)] == ["", "", "0", "1.235e+05"]
