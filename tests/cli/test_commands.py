"""`ghn graph`, `ghn info`, `ghn convert`, and what commands share."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors.torch import load_file

from ghn.checkpoint.card import RELEASES
from ghn.cli.files import replaced
from ghn.cli.terminal import Steps, quantity, size
from ghn.graph.files import from_json
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]


# graph


def test_graph_as_a_picture(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("graph", "zoo:net", "-o", "OUT/x.svg")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("x.svg: 7 nodes, 6 edges (traced by meta)\n")
    root = ElementTree.fromstring((tmp_path / "x.svg").read_text())
    assert root.tag.endswith("svg")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


def test_graph_as_json(ghn: Ghn, tmp_path: Path) -> None:
    assert ghn("graph", "resnet18", "-o", "OUT/x.json", "--quiet") == Run(code=0, out="", err="")
    graph = from_json((tmp_path / "x.json").read_text())
    assert len(graph) == 53
    assert graph.parameters["fc.weight"].shape == (1000, 512)


def test_graph_of_other_sizes(ghn: Ghn, tmp_path: Path) -> None:
    words = ("graph", "timm:vit_tiny_patch16_224", "-o", "OUT/x.json", "--image-size", "64", "--num-classes", "5")
    assert ghn(*words).code == 0
    graph = from_json((tmp_path / "x.json").read_text())
    assert graph.parameters["pos_embed"].shape == (1, 17, 192)
    assert graph.parameters["head.weight"].shape == (5, 192)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["zoo:net", "-o", "OUT/x.png"], "must end in .svg or .json or .dot or .gv"),
        (["zoo:net", "-o", "OUT/no/x.svg"], "no does not exist"),
        (["zoo:nett", "-o", "OUT/x.svg"], "did you mean net"),
        (["zoo:empty", "-o", "OUT/x.svg"], "has no parameters"),
        (["zoo:Fails", "-o", "OUT/x.svg"], "the forward pass of Fails fails"),
    ],
)
def test_graph_refuses(words: list[str], part: str, refused: Refused) -> None:
    assert part in refused("graph", *words)


# info


def test_info_lists_every_name(ghn: Ghn) -> None:
    result = ghn("info")
    assert result.code == 0
    assert all(name in result.out for name in RELEASES)
    assert max(map(len, result.out.splitlines())) <= 80
    assert {item["name"] for item in json.loads(ghn("info", "--json").out)} >= set(RELEASES)


def test_info_of_a_folder(ghn: Ghn, folder: Path) -> None:
    result = ghn("info", "TINY")
    assert result.code == 0
    assert "graphormer" in result.out
    total = sum(tensor.numel() for tensor in load_file(folder / "tiny" / "model.safetensors").values())
    described = json.loads(ghn("info", "TINY", "--json").out)
    assert described["config"]["hidden"] == 8
    assert described["total"] <= total
    assert f"{described['total']:,}" in result.out


def test_info_of_a_published_name_needs_no_network(ghn: Ghn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *args: pytest.fail("asked the network"))
    result = ghn("info", "ghn3xlm16")
    assert "654,365,184" in result.out
    assert "predict with it: ghn predict MODEL -o FILE --ghn ghn3xlm16" in result.out


@pytest.mark.parametrize(("name", "part"), [("ghn3xlm61", "did you mean ghn3xlm16"), ("zoo.py", "is no checkpoint")])
def test_info_refuses(name: str, part: str, refused: Refused) -> None:
    assert part in refused("info", name)


# convert


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
        (["zoo.py", "-o", "OUT/new"], "is no checkpoint"),
        (["training.pt", "-o", "zoo.py"], "is a file, not a folder"),
    ],
)
def test_convert_refuses(words: list[str], part: str, refused: Refused, folder: Path) -> None:
    torch.save({"state_dict": load_file(folder / "tiny" / "model.safetensors")}, folder / "training.pt")
    assert part in refused("convert", *words)


# Shared parts


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1.00 k"), (9999, "10.0 k"), (999_499, "999 k"), (999_500, "1.00 M")],
)
def test_quantities(number: int, text: str) -> None:
    assert quantity(number) == text


def test_sizes() -> None:
    assert [size(12), size(1234), size(102_400_000)] == ["12 B", "1.23 kB", "102 MB"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with replaced(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    with replaced(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_steps_are_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps().step("working"):
        pass
    assert capsys.readouterr() == ("", "")
