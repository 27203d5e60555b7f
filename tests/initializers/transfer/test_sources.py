"""Trained models by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from ghn.checkpoint import CheckpointError
from ghn.initializers.transfer.sources import trained_model
from tests.initializers.transfer.networks import filled, state


def saved(model: nn.Module, file: Path) -> nn.Module:
    filled(model)
    if file.suffix == ".safetensors":
        save_file(model.state_dict(), file)
    else:
        torch.save(model.state_dict(), file, _use_new_zipfile_serialization=file.suffix == ".pt")
    return model


def same(model: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(value, state(other)[name]) for name, value in state(model).items())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_an_architecture_and_a_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    source = saved(torchvision.models.resnet18(), file)
    found = trained_model(f"resnet18@{file}")
    assert same(found.model, source)
    assert not found.model.training


def test_the_files_number_of_classes(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    source = saved(timm.create_model("resnet10t", num_classes=6), file)
    assert same(trained_model(f"timm:resnet10t@{file}").model, source)


def test_options_of_the_architecture(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    small: dict[str, Any] = {"img_size": 32, "patch_size": 8, "depth": 1, "num_classes": 4}
    source = saved(timm.create_model("vit_tiny_patch16_224", **small), file)
    options = ",".join(f"{key}={value}" for key, value in small.items())
    found = trained_model(f"timm:vit_tiny_patch16_224,{options}@{file}")
    assert same(found.model, source)
    assert found.example_inputs[0].shape[-2:] == (32, 32)


def test_what_does_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    saved(torchvision.models.resnet18(), file)
    with pytest.raises(
        CheckpointError, match=r"weights\.pt does not hold the weights of this ResNet: it lacks layer1\.2"
    ):
        trained_model(f"resnet34@{file}")
    with pytest.raises(ValueError, match="torchvision has no model 'resnet81': did you mean resnet"):
        trained_model(f"resnet81@{file}")
    with pytest.raises(ValueError, match="timm has no model 'resnet81'"):
        trained_model("timm:resnet81")
    with pytest.raises(ValueError, match=r"torchvision has no model 'resnet81': did you mean .* a trained model is"):
        trained_model("resnet81")
    with pytest.raises(ValueError, match="weights of hf:vit are taken from a file: hf:vit@FILE"):
        trained_model("hf:vit")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"weights\.pt: is a damaged or truncated"):
        trained_model(f"resnet18@{file}")


def test_timms_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's loader, with a file in the place of what it would fetch."""
    file = tmp_path / "model.safetensors"
    source = saved(timm.create_model("resnet18"), file)
    asked: list[str] = []

    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", lambda *a, **k: _load(file, asked, a))
    found = trained_model("timm:resnet18.a1_in1k")
    assert asked == ["timm/resnet18.a1_in1k"]
    assert same(found.model, source)


def _load(file: Path, asked: list[str], arguments: tuple[Any, ...]) -> Any:
    from safetensors.torch import load_file

    asked.append(arguments[0])
    return load_file(file)


def test_torchvisions_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's loader, with a file where its cache is."""
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / weights.url.rpartition("/")[2]
    source = saved(torchvision.models.resnet18(), file)
    torch.save(source.state_dict(), file)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert same(trained_model("resnet18").model, source)


def test_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refuse)
    with pytest.raises(
        ValueError, match=re.escape("the weights of resnet18 cannot be had (OSError: no route to host)")
    ):
        trained_model("resnet18")


def test_a_factory_may_give_a_trained_model(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\ndef make():\n    torch.manual_seed(3)\n    return torch.nn.Linear(3, 2), torch.zeros(1, 3)\n"
    )
    found = trained_model(f"{tmp_path}/mine.py:make")
    torch.manual_seed(3)
    assert same(found.model, nn.Linear(3, 2))
    assert json.dumps(list(found.example_inputs.shape)) == "[1, 3]"
