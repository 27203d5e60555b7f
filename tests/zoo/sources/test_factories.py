"""What users write: functions, classes, modules, and how these may be wrong."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ghn.zoo import ModelRequest, build_model
from tests.zoo.models import build, head, refusal

pytestmark = pytest.mark.usefixtures("users_modules")


def test_factories() -> None:
    assert head(build("zoo:net,width=3")) == 10
    assert head(build("zoo:holder.inner")) == 10
    assert isinstance(build("zoo:Tied"), nn.Module)
    assert build("zoo:ready") is sys.modules["zoo"].ready


def test_the_python_path_stays_as_it_was() -> None:
    before = list(sys.path)
    build("zoo:net")
    refusal("nowhere:net")
    assert sys.path == before


def test_a_factory_may_give_example_inputs() -> None:
    built = build_model(ModelRequest(name="zoo:vector"))
    assert built.example_inputs.shape == (2, 5)


def test_image_size_of_a_factory() -> None:
    built = build_model(ModelRequest(name="zoo:sized", image_size=4))
    assert built.model(torch.zeros(2, 3, 4, 4)).shape == (2, 10)
    assert built.example_inputs[0].shape == (2, 3, 4, 4)


def test_an_image_size_that_is_asked_for_goes_before_the_factorys_own_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_inputs() -> tuple[nn.Module, torch.Tensor]:
        return nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 9, 9)

    monkeypatch.setattr(importlib.import_module("zoo"), "with_inputs", with_inputs, False)
    name = "zoo:with_inputs"
    assert build_model(ModelRequest(name=name)).example_inputs.shape == (1, 3, 9, 9)
    assert build_model(ModelRequest(name=name, image_size=5)).example_inputs[0].shape == (2, 3, 5, 5)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("zoo:nat", ["zoo has no 'nat'", "did you mean net"]),
        ("zoo:net(width=(3, 3))", ["zoo has no 'net(", "options follow after commas: zoo:net,width=(3, 3)"]),
        ("zoo:net()", ["options follow after commas: zoo:net"]),
        ("zoo:", ["lacks a name after the colon"]),
        ("zoo.deeper:net", ["no module 'zoo.deeper'"]),
        ("broken:net", ["importing broken for broken:net fails: No module named 'nothing_like_this'"]),
        ("zoo:raises", ["zoo:raises cannot be built: RuntimeError: no GPU"]),
        ("zoo:three", ["returns int", "torch.nn.Module"]),
        ("zoo:number", ["is int"]),
        ("zoo:ready,width=3", ["takes no options (width)"]),
        ("zoo:net,depth=3", ["zoo:net,depth=3 takes no option depth"]),
    ],
)
def test_refusals(name: str, parts: list[str]) -> None:
    line = refusal(name)
    assert all(part in line for part in parts), line


def test_a_factory_that_takes_no_number_of_classes() -> None:
    assert "zoo:vector takes no option num_classes" in refusal("zoo:vector", num_classes=3)


FILE = """
import dataclasses
from torch import nn
import neighbour

@dataclasses.dataclass
class Widths:
    first: int = neighbour.WIDTH

def make(widths=(8,)):
    return nn.Sequential(*[nn.Linear(Widths().first, width) for width in widths])

class Kept:
    model = nn.Linear(1, 2)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with models, and another that it imports; neither is on the Python path."""
    (tmp_path / "neighbour.py").write_text("WIDTH = 3")
    (tmp_path / "my models.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)
    return tmp_path / "my models.py"


@pytest.mark.parametrize("start", ["", "./", "{folder}/"])
def test_a_factory_in_a_file(start: str, file: Path) -> None:
    name = start.format(folder=file.parent) + file.name
    before = list(sys.path)
    assert head(build(f"{name}:make")) == 8
    assert [layer.out_features for layer in build(f"{name}:make,widths=(4,8)").children()] == [4, 8]
    assert build(f"{name}:Kept.model") is build(f"{file}:Kept.model")
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("./my_models.py:make", "there is no file .*my_models.py; did you mean my models.py"),
        ("./my models.py:resnet", "has no 'resnet'; it has Widths, make, Kept$"),
        ("./my models.py:mak", "has no 'mak'; did you mean make"),
        ("./my models.py:", "lacks a name after the colon"),
        ("./broken.py:make", "importing ./broken.py for ./broken.py:make fails: No module named 'nothing_like_this'"),
        ("./exits.py:make", "importing ./exits.py for ./exits.py:make fails: SystemExit: 3"),
        ("./exits_later.py:make", "cannot be built: SystemExit: 4"),
        (".:make", "fails|there is no"),
    ],
)
def test_files_without_the_factory(name: str, part: str, file: Path) -> None:
    (file.parent / "broken.py").write_text("import nothing_like_this")
    (file.parent / "exits.py").write_text("import sys; sys.exit(3)")
    (file.parent / "exits_later.py").write_text("import sys\ndef make():\n    sys.exit(4)")
    assert re.search(part, refusal(name))
