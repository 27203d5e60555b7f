"""A file as the start of a chain."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ghn.checkpoint import CheckpointError
from ghn.initializers import create
from ghn.initializers.noise import add_noise
from tests.initializers.networks import small, state


def test_a_file_is_a_start(tmp_path: Path) -> None:
    source = small()
    create("orthogonal")(source, seed=3)
    save_file(source.state_dict(), tmp_path / "a+b.safetensors")
    torch.save(source.state_dict(), tmp_path / "a.pth")
    for text in (f"{tmp_path}/a+b.safetensors", f"checkpoint:{tmp_path}/a+b.safetensors", f"{tmp_path}/a.pth"):
        model = small()
        report = create(f"{text}+noise:0.3rel")(model, seed=7)
        assert [step.name.removeprefix("checkpoint:") for step in report.steps] == [
            text.removeprefix("checkpoint:"),
            "noise:0.3rel",
        ]
        assert set(report.steps[0].changed) == source.state_dict().keys()
        wanted = small()
        wanted.load_state_dict(source.state_dict())
        add_noise(wanted, 0.3, relative=True, seed=7)
        assert all(torch.equal(value, state(model)[name]) for name, value in state(wanted).items())


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"checkpoint takes a file, e\.g\. checkpoint:resnet50.safetensors"):
        create("checkpoint")
    with pytest.raises(CheckpointError, match=r"nothing\.pt: there is no such file"):
        create(f"{tmp_path}/nothing.pt")(small())
    with pytest.raises(ValueError, match=r"checkpoint sets all anew and cannot follow noise:1e-5"):
        create("noise:1e-5+checkpoint:a.pt")
