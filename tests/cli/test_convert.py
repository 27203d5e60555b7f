"""`ghn convert`."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

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


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nothing.pt", "-o", "OUT/new"], "there is no such file"),
        (["zoo.py", "-o", "OUT/new"], "no file of plain data"),
        (["training.pt", "-o", "zoo.py"], "is a file, not a folder"),
    ],
)
def test_convert_refuses(words: list[str], part: str, refused: Refused, folder: Path) -> None:
    torch.save({"state_dict": load_file(folder / "tiny" / "model.safetensors")}, folder / "training.pt")
    assert part in refused("convert", *words)
