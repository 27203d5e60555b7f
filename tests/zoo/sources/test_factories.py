"""What users write: functions, classes, modules, and how these may be wrong."""

import sys

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


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("zoo:nat", ["zoo has no 'nat'", "did you mean net"]),
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
