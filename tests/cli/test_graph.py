"""`ghn graph`."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ghn.graph.files import from_json
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]


def test_graph_as_a_picture(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("graph", "zoo:net", "-o", "OUT/x.svg")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("x.svg: 7 nodes, 6 edges\n")
    root = ElementTree.fromstring((tmp_path / "x.svg").read_text())
    assert root.tag.endswith("svg")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_graph_as_other_pictures(ghn: Ghn, tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    assert ghn("graph", "zoo:net", "-o", f"OUT/x.{suffix}").code == 0
    assert (tmp_path / f"x.{suffix}").read_bytes().startswith(start)


def test_graph_draws_equal_blocks_once(ghn: Ghn, tmp_path: Path) -> None:
    boxes = []
    for flag in ([], ["--no-fold", "--force"]):
        assert ghn("graph", "resnet50", "-o", "OUT/x.svg", *flag).code == 0
        boxes.append((tmp_path / "x.svg").read_text().count('class="node"'))
    assert boxes[1] == 127
    assert boxes[0] < 90


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
        (["zoo:net", "-o", "OUT/x.gif"], "must end in .svg or .png or .pdf or .json or .dot or .gv"),
        (["zoo:net", "-o", "OUT/no/x.svg"], "no does not exist"),
        (["zoo:nett", "-o", "OUT/x.svg"], "did you mean net"),
        (["zoo:empty", "-o", "OUT/x.svg"], "has no parameters"),
        (["zoo:Fails", "-o", "OUT/x.svg"], "the forward pass of Fails fails"),
    ],
)
def test_graph_refuses(words: list[str], part: str, refused: Refused) -> None:
    assert part in refused("graph", *words)
