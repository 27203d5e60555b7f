"""Digests of cells: equal where numbers are, different where they may differ."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ghn.experiments.grid.cell import FORMAT, KINDS, Cell, Found, Kind, kind_named
from tests.experiments import some


def test_the_digest_is_that_of_all_that_numbers_depend_on() -> None:
    cell = Cell(kind=some.ADD, settings={"number": 3, "b": [1, 2]}, seed=4)
    identity = {
        "format": FORMAT, "inputs": {}, "kind": some.ADD, "needs": {}, "seed": 4,
        "settings": {"b": [1, 2], "number": 3}, "version": 1,
    }  # fmt: skip
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    assert cell.digest == hashlib.sha256(text.encode()).hexdigest()[:32]
    assert Cell(kind=some.ADD, settings={"b": (1, 2), "number": 3}, seed=4).digest == cell.digest


def test_whatever_differs_makes_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell(kind=some.ADD, settings={"number": 3})
    others = [
        replace(cell, seed=1),
        replace(cell, settings={"number": 4}),
        replace(cell, kind=some.SLOW),
        replace(cell, needs={"made": replace(cell, seed=2)}),
        replace(cell, needs={"made": replace(cell, seed=3)}),
        replace(cell, needs={"other": replace(cell, seed=3)}),
    ]
    assert len({cell.digest, *(other.digest for other in others)}) == 7
    before = cell.digest
    monkeypatch.setattr(some, "add", Kind(version=2, run=some.add.run))
    assert Cell(kind=some.ADD, settings={"number": 3}).digest != before, "another version computes other numbers"
    monkeypatch.undo()
    file = tmp_path / "weights"
    file.write_text("a")
    reading = Cell(kind=some.ADD, settings={"number": 3, "file": str(file)})
    first = reading.digest
    file.write_text("b")
    assert Cell(kind=some.ADD, settings=reading.settings).digest != first, "a file of the same name has another content"


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_there(name: str) -> None:
    kind = kind_named(name)
    assert kind.version >= 1


@pytest.mark.parametrize("name", ["nothing", "tests.experiments.some:nothing", "no.such.module:it", ""])
def test_an_unknown_kind_is_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="there is no kind of cell") as caught:
        kind_named(name)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="is no kind of cell but a function"):
        kind_named("tests.experiments.some:adding")


def test_settings_that_are_no_json_are_refused() -> None:
    with pytest.raises(ValueError, match="plain values for JSON"):
        _ = Cell(kind=some.ADD, settings={"number": Found(value={})}).digest
    with pytest.raises(ValueError, match="JSON"):
        _ = Cell(kind=some.ADD, settings={"number": float("nan")}).digest
