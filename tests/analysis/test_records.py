"""Records: one a network and start, kept as soon as it is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Batch, Networks
from ghn.analysis.records import Record, records
from tests.analysis.networks import SMALL, WIDER
from tests.warm import Program

Found = tuple[Mapping[str, Any], Mapping[str, Tensor]]


def networks(**settings: Any) -> Networks:
    given = {"models": (SMALL, WIDER), "starts": ("default", "orthogonal"), "data": "noise", "image_size": 12,
             "num_classes": 3, "images": 4, **settings}  # fmt: skip
    return Networks(AnalysisConfig(**given))


class Counted:
    """Counts how often it measures; fails on some."""

    def __init__(self, fails: str = "") -> None:
        self.calls, self.fails = 0, fails

    def __call__(self, model: nn.Module, batch: Batch) -> Found:
        self.calls += 1
        if type(model).__name__ == self.fails:
            raise RuntimeError("it\nbroke")
        return {"mean": float(batch[0].mean()), "none": float("nan")}, {"first": next(model.parameters()).detach()}


def test_every_network_from_every_start(tmp_path: Path) -> None:
    measure, told = Counted(), list[Record]()
    found = list(records(networks(), "test", measure, folder=tmp_path, progress=told.append))
    assert [(one.model, one.start) for one in found] == [
        (model, start) for model in (SMALL, WIDER) for start in ("default", "orthogonal")
    ]
    assert told == found
    assert [one.family for one in found] == ["Small", "Small", "Sequential", "Sequential"]
    assert measure.calls == 4
    again = list(records(networks(), "test", measure, folder=tmp_path))
    assert measure.calls == 4
    for one, other in zip(found, again, strict=True):
        assert one.to_dict() == other.to_dict()
        assert torch.equal(one.tensors["first"], other.tensors["first"])
    assert found[0].to_dict()["none"] is None


def test_what_a_number_depends_on_makes_another_record(tmp_path: Path) -> None:
    measure = Counted()
    for what, given, settings in (
        ("test", {}, {}),
        ("other", {}, {}),
        ("test", {"images": 5}, {}),
        ("test", {"seed": 1}, {}),
        ("test", {}, {"steps": 3}),
    ):
        list(records(networks(models=(SMALL,), starts=("default",), **given), what, measure, settings=settings,
            folder=tmp_path))  # fmt: skip
    assert measure.calls == 5
    # One more model takes what is there.
    list(records(networks(starts=("default",)), "test", measure, folder=tmp_path))
    assert measure.calls == 6


def test_a_models_file_that_changed_makes_another_record(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from torch import nn\ndef make(): return nn.Conv2d(3, 4, 1)\n")
    found = networks(models=(f"{file}:make",), starts=("default",))
    count = Counted()
    for _ in range(2):
        list(records(found, "mean", count, folder=tmp_path / "kept"))
    assert count.calls == 1
    file.write_text(file.read_text() + "# another one\n")
    list(records(found, "mean", count, folder=tmp_path / "kept"))
    assert count.calls == 2


def test_what_fails_has_its_reason_and_is_tried_again(tmp_path: Path) -> None:
    measure = Counted("Sequential")
    found = list(records(networks(starts=("default",)), "test", measure, folder=tmp_path))
    assert [one.error for one in found] == [None, "RuntimeError: it broke"]
    list(records(networks(starts=("default",)), "test", measure, folder=tmp_path))
    assert measure.calls == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"of": 1}'])
def test_a_damaged_record_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    measure, chosen = Counted(), networks(models=(SMALL,), starts=("default",))
    list(records(chosen, "test", measure, folder=tmp_path))
    (file,) = tmp_path.glob("*.json")
    sound = file.read_bytes()
    file.write_bytes(damage)
    list(records(chosen, "test", measure, folder=tmp_path))
    assert measure.calls == 2
    (tensors,) = tmp_path.glob("*.safetensors")
    tensors.unlink()
    list(records(chosen, "test", measure, folder=tmp_path))
    assert measure.calls == 3
    assert len(file.read_bytes()) == pytest.approx(len(sound), abs=20)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot hold an analysis"):
        list(records(networks(), "test", Counted(), folder=tmp_path / "file"))


def test_what_ended_the_process_twice_is_left_out(tmp_path: Path) -> None:
    chosen = networks(models=(SMALL,), starts=("default",))
    list(records(chosen, "test", Counted(), folder=tmp_path))
    (file,) = tmp_path.glob("*.json")
    file.unlink()
    for attempts, error in (("x", None), ("xx", "it ended the process 2 times, as want of memory does")):
        file.with_suffix(".attempts").write_text(attempts)
        (found,) = records(chosen, "test", Counted(), folder=tmp_path)
        assert found.error is None if error is None else str(found.error).startswith(error)
        file.unlink(missing_ok=True)


MEASURING = f"""
import sys, time
from pathlib import Path
from tests.analysis.test_records import networks
from ghn.analysis.records import records
def measure(model, batch):
    print("measuring", flush=True)
    time.sleep(1)
    return {{"seen": 1.0}}
found = list(records(networks(models=({SMALL!r},), starts=("default",)), "test", measure, folder=sys.argv[1]))
print(found[0].error, found[0].values)
"""


def test_processes_at_the_same_network_wait_for_each_other(tmp_path: Path) -> None:
    programs = [Program(MEASURING, str(tmp_path)) for _ in range(3)]
    written = [program.communicate(timeout=120)[0] for program in programs]
    assert sorted(written) == ["None {'seen': 1.0}\n"] * 2 + ["measuring\nNone {'seen': 1.0}\n"]
    assert not list(tmp_path.glob("*.attempts"))


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_sign(tmp_path: Path) -> None:
    program = f"""
import os
from tests.analysis.test_records import networks
from ghn.analysis.records import records
def measure(model, batch):
    os._exit(9)
list(records(networks(models=({SMALL!r},), starts=("default",)), "test", measure, folder={str(tmp_path)!r}))
"""
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    measure = Counted()
    found = list(records(networks(starts=("default",)), "test", measure, folder=tmp_path))
    assert measure.calls == 1
    assert found[0].error == "it ended the process 2 times, as want of memory does; take fewer images"
    assert found[1].error is None


def test_an_interruption_is_no_attempt(tmp_path: Path) -> None:
    def interrupted(model: nn.Module, batch: Batch) -> Found:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            list(records(networks(), "test", interrupted, folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
