"""Messages are one printable line, also after a way between processes; arguments of another kind are told in one."""

# mypy: disable-error-code="arg-type,list-item"

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ghn
from ghn.common.errors import OneLineError, check_batches, check_path, check_seed
from ghn.initializers import create

IMAGES, LABELS = torch.randn(32, 3, 8, 8), torch.zeros(32, dtype=torch.int64)


def test_message_is_one_line() -> None:
    error = OneLineError("no file a\nb\x1b[2J")
    assert str(error) == "no file a b\\x1b[2J"
    assert isinstance(error, ValueError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(OneLineError()) == ""


@pytest.mark.parametrize("value", ["a", Path("a"), Path()])
def test_names_and_paths(value: Any) -> None:
    check_path(value, "a name")


@pytest.mark.parametrize("value", [0, -(2**63), 2**63 - 1, True, np.int64(3), torch.tensor(4)])
def test_seeds(value: Any) -> None:
    number = check_seed(value)
    assert (type(number), number) == (int, value)
    weight = ghn.predict(network(), seed=value)["0.weight"]
    assert bool(weight.isfinite().all())


@pytest.mark.parametrize("value", ["1", None, 1.5, 2**65, [1]])
def test_what_is_no_seed(value: Any) -> None:
    with pytest.raises(ValueError, match="seed is a whole number of 64 bits, not "):
        check_seed(value)


def test_batches() -> None:
    check_batches([(IMAGES, LABELS), [IMAGES, LABELS.to(torch.uint8)], (IMAGES, torch.rand(32, 10))])
    check_batches([])


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        (IMAGES, "pairs .* of tensors; batch 0 is Tensor"),
        ([(IMAGES, LABELS), {"images": IMAGES}], "batch 1 is dict"),
        ([(IMAGES, [1, 2])], "batch 0 is no such pair"),
        ([(IMAGES, LABELS[:20])], "batch 0 has 32 images and 20 labels"),
        (
            [(IMAGES, LABELS.float())],
            r"whole numbers \(B,\), or shares .* batch 0 are torch.float32 of shape \(32,\)",
        ),
        ([(IMAGES, torch.zeros(32, 10, dtype=torch.int64))], r"of shape \(32, 10\)"),
        ([(IMAGES, torch.zeros(20, 10))], "32 images and 20 labels"),
        ([(torch.tensor(1.0), LABELS)], "batch 0 has no images and 32 labels"),
    ],
)
def test_what_are_no_batches(batches: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_batches(batches)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


CALLS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no name": (lambda _: ghn.from_pretrained(3), "a hypernetwork's name is a text or a path, not int"),
    "empty name": (lambda _: ghn.from_pretrained(""), "a hypernetwork's name is an empty text"),
    # The place of example inputs in methods of a hypernetwork.
    "inputs": (lambda _: ghn.initialize(network(), IMAGES), "ghn is .*, not Tensor; .* example_inputs="),
    "seed": (lambda _: ghn.initialize(network(), seed="a"), "seed is a whole number .*, not 'a'"),
    "strict": (lambda _: ghn.predict(network(), strict="a"), "strict is a fraction .*, not 'a'"),
    "models": (lambda _: ghn.predict_many(3), "models must be a list of models, not int"),
    "one of the models": (lambda _: ghn.predict_many([3]), r"model 0 \(int\): a model is a torch.nn.Module, not int"),
    "a name for models": (lambda _: ghn.predict_many("resnet18"), "a list of models, not str"),
    "start": (lambda _: create(None), "a start is a text or a path, not NoneType"),
    "labels": (lambda _: ghn.calibrate(network(), [(IMAGES, LABELS[:9])]), "32 images and 9 labels"),
    "config": (lambda _: ghn.GHN({"hidden": 8}), "config is a GHNConfig, .*, not dict"),
    "training": (lambda _: ghn.finetune(network(), "digits", {"steps": 1}), "config is a FinetuneConfig, not dict"),
    "file": (lambda out: ghn.convert_checkpoint(3, out), "a checkpoint's file is a text or a path, not int"),
}


@pytest.mark.parametrize("name", CALLS)
def test_public_functions_say_what_they_take(name: str, tmp_path: Path) -> None:
    call, said = CALLS[name]
    with pytest.raises(ValueError, match=said) as caught:
        call(tmp_path / "out")
    assert str(caught.value).isprintable()
    assert isinstance(caught.value, TypeError) == (name not in ("empty name", "strict", "labels"))
    assert not list(tmp_path.iterdir())


class Named:
    """A path of another library."""

    def __fspath__(self) -> str:
        return "ghn3-t-cifar10"


def test_paths_and_numbers_of_other_types_are_taken() -> None:
    given = ghn.predict(network(), Named(), strict=np.float32(0.5), seed=np.uint8(3))
    torch.testing.assert_close(given, ghn.predict(network(), strict=0.5, seed=3))
    assert create(Path("x.safetensors")).name == "checkpoint:x.safetensors"


@pytest.mark.parametrize("where", ["", "file", "file/inner", 3])
def test_a_hypernetwork_that_cannot_be_saved_is_a_checkpoint_error(
    where: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    hypernet = ghn.GHN(ghn.GHNConfig(layers=1, hidden=8, max_channels=8))
    with pytest.raises(ghn.CheckpointError, match=r"a file is in the way|the folder to write is "):
        hypernet.save_pretrained(where)
    assert {path.name for path in tmp_path.rglob("*")} == {"file"}
    assert (tmp_path / "file").read_text() == "mine"
