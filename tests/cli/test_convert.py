"""`ghn convert`."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ghn.model import from_pretrained
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]


def test_convert(ghn: Ghn, folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "tiny" / "model.safetensors")
    torch.save({"state_dict": state}, folder / "training.pt")
    result = ghn("convert", "training.pt", "-o", "OUT/new")
    assert (result.code, result.err) == (0, "")
    assert "parameters" in result.out
    converted = load_file(tmp_path / "new" / "model.safetensors")
    assert all(torch.equal(converted[key], tensor) for key, tensor in state.items())
    assert ghn("convert", "training.pt", "-o", "OUT/new", "--quiet") == Run(code=0, out="", err="")


def test_convert_brings_images_along(ghn: Ghn, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    torch.save({"state_dict": load_file(folder / "tiny" / "model.safetensors")}, folder / "training.pt")
    result = ghn("convert", "training.pt", "-o", "OUT/new", "--images", "digits")
    assert (result.code, result.err) == (0, "")
    images = from_pretrained(tmp_path / "new").images
    assert images is not None
    assert (images.name, len(images)) == ("digits", 64)
    assert sorted(images.labels.bincount().tolist()) == [6] * 6 + [7] * 4


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nothing.pt", "-o", "OUT/new"], "there is no such file"),
        (["zoo.py", "-o", "OUT/new"], "no file of plain data"),
        (["training.pt", "-o", "OUT/new", "--images", "nosuch"], "unknown data set 'nosuch'"),
        (["training.pt", "-o", "zoo.py"], "is a file, not a folder"),
    ],
)
def test_convert_refuses(words: list[str], part: str, refused: Refused, folder: Path) -> None:
    torch.save({"state_dict": load_file(folder / "tiny" / "model.safetensors")}, folder / "training.pt")
    assert part in refused("convert", *words)
