"""`ghn explore`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ghn.cli.explore import file_name
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]


def data(page: Path) -> dict[str, Any]:
    """What a page knows."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    return json.loads(text)


def test_a_page_of_a_model(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("explore", "zoo:net", "--init", "ghn:TINY,orthogonal", "-o", "OUT/x.html", "--depth", "1")
    assert (result.code, result.err) == (0, "")
    assert "x.html: 7 nodes, 6 edges, values by own initialisation, ghn:" in result.out
    assert result.out.count("\n") == 1
    found = data(tmp_path / "x.html")
    names = [start["name"] for start in found["starts"]]
    assert (len(names), names[0], names[2]) == (3, "own initialisation", "orthogonal")
    assert names[1].startswith("ghn:")
    assert found["starts"][1]["kept"] == [-1] * 6
    assert (found["title"], found["depth"]) == ("zoo:net", 1)


def test_the_seed_governs_the_models_own_values(ghn: Ghn, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert ghn("explore", "zoo:net", "--init", "default", "-o", f"OUT/{name}.html", "--seed", seed).code == 0
    a, b, c = (data(tmp_path / f"{name}.html")["starts"] for name in "abc")
    assert a == b != c
    assert len(a) == 1


def test_a_graph_alone(ghn: Ghn, tmp_path: Path) -> None:
    result = ghn("explore", "resnet18", "--graph-only", "-o", "OUT/x.htm", "--num-classes", "7")
    assert "no values" in result.out
    found = data(tmp_path / "x.htm")
    assert set(found["starts"][0]["values"][:3]) == {None}
    assert found["parameters"][-1]["shape"] == [7]


def test_the_model_names_the_file(ghn: Ghn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ghn("explore", "resnet18", "--graph-only", "--quiet") == Run(code=0, out="", err="")
    assert [path.name for path in tmp_path.iterdir()] == ["resnet18.html"]


@pytest.mark.parametrize(
    ("model", "name"),
    [("timm:vit_tiny", "timm-vit_tiny.html"), ("a/b.py:f,x=1", "a-b.py-f-x-1.html"), ("../..", "model.html")],
)
def test_names_of_files(model: str, name: str) -> None:
    assert file_name(model) == name


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["zoo:net", "-o", "OUT/x.svg"], "must end in .html or .htm"),
        (["zoo:nett", "-o", "OUT/x.html"], "did you mean net"),
        (["zoo:net", "-o", "OUT/x.html", "--init", "orthogonl"], "did you mean orthogonal"),
        (["zoo:net", "-o", "OUT/x.html", "--init", "default+calibrate"], "name some with --data"),
        (["zoo:net", "-o", "OUT/x.html", "--depth", "-1"], "--depth must be at least 0"),
        (["zoo:net", "-o", "OUT/x.html", "--data-images", "0"], "--data-images must be at least 1"),
        (["zoo:empty", "-o", "OUT/x.html"], "has no parameters"),
        (["zoo:Fails", "-o", "OUT/x.html", "--init", "default"], "the forward pass of Fails fails"),
    ],
)
def test_explore_refuses(words: list[str], part: str, refused: Refused) -> None:
    assert part in refused("explore", *words)
