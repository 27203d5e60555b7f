"""`ghn convert`."""

import shutil
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
    assert ghn("convert", "training.pt", "-o", "OUT/new", "--quiet", "--force") == Run(code=0, out="", err="")


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


def test_what_exists_is_refused(ghn: Ghn, refused: Refused, folder: Path) -> None:
    there = folder / "there"
    there.mkdir()
    (there / "config.json").write_text("mine")
    line = refused("convert", "nothing.pt", "-o", "there")
    assert line == "there/config.json exists: --force replaces it, or choose another folder"
    assert (there / "config.json").read_text() == "mine"


def test_a_training_is_pointed_at(ghn: Ghn, refused: Refused, folder: Path, tmp_path: Path) -> None:
    """Its folder, whether it has ended or not; a model's parameters are no hypernetwork."""
    run = folder / "run"
    small = ["--layers", "1", "--hidden", "8", "--max-channels", "8", "--spatial", "3", "--workers", "0"]
    words = [
        "train",
        "digits-smoke",
        "-o",
        str(run),
        "--steps",
        "1",
        "--validate-every",
        "0",
        *small,
        "--device",
        "cpu",
    ]
    assert ghn(*words).code == 0
    trained = load_file(run / "hypernet" / "model.safetensors")
    for source in (run, run / "state.pt"):
        assert ghn("convert", str(source), "-o", "OUT/new", "--force").code == 0
        converted = load_file(tmp_path / "new" / "model.safetensors")
        assert all(torch.equal(converted[key], tensor) for key, tensor in trained.items())
    assert from_pretrained(str(run)).config == from_pretrained(str(run / "hypernet")).config
    (run / "hypernet").rename(run / "elsewhere")
    shutil.rmtree(tmp_path / "new")
    line = refused("predict", "zoo:net", "--ghn", str(run), "-o", "OUT/x.safetensors")
    assert line == f"{run} holds a training that has not ended; ghn convert {run} -o FOLDER makes a hypernetwork of it"
    (run / "state.pt").rename(folder / "other.pt")
    assert "convert the training's folder instead" in refused("convert", "other.pt", "-o", "OUT/new")
    assert ghn("predict", "zoo:net", "--ghn", "TINY", "-o", "net.safetensors").code == 0
    line = refused("predict", "zoo:net", "--ghn", "net.safetensors", "-o", "OUT/x.safetensors")
    assert line.startswith("net.safetensors is no hypernetwork: no config.json is beside it")
    assert "The parameters of a model are a start" in line
