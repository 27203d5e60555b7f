"""The networks of an evaluation: which, in which order, and with numbers of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ghn.batch_norm import norms_with_statistics
from ghn.common import optional
from ghn.deepnets import DeepNets, write_published
from ghn.evaluate.networks import candidates
from tests.evaluate.test_config import CONFIG

MODULE = """
from torch import nn

def make(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, 10))

def with_classes(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(48, num_classes))

model = make()
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MODULE)
    return str(tmp_path / "mine.py")


def test_they_come_in_order_and_are_numbered(mine: str) -> None:
    found = candidates(replace(CONFIG, models=(f"{mine}:make,width=2",)), 32, 10)
    assert [(one.kind, one.split, one.index, one.number) for one in found] == [
        ("split", "test", 0, 0),
        ("split", "test", 1, 1),
        ("split", "bnfree", 0, 2),
        ("model", f"{mine}:make,width=2", 0, 3),
    ]


def test_a_network_of_a_split_is_that_of_the_split() -> None:
    second = candidates(CONFIG, 32, 10)[1]
    network, graph, _ = DeepNets("test")[1]
    assert second.graph is not None
    assert [str(node.op) for node in second.graph.nodes] == [str(node.op) for node in graph.nodes]
    assert second.graph is second.graph
    built = second.build(0)
    expected = {name: parameter.shape for name, parameter in network.named_parameters()}
    assert {name: parameter.shape for name, parameter in built.named_parameters()} == expected
    assert norms_with_statistics(built)
    assert not any(parameter.is_meta for parameter in built.parameters())
    assert all(parameter.is_meta for parameter in second.bare.parameters())


def test_a_model_is_made_anew_each_time_by_its_seed(mine: str) -> None:
    random = torch.get_rng_state()
    make, given = candidates(replace(CONFIG, splits={}, models=(f"{mine}:make", f"{mine}:model")), 16, 10)
    one, other, reseeded = make.build(1), make.build(1), make.build(2)
    assert torch.equal(one.get_parameter("0.weight"), other.get_parameter("0.weight"))
    assert not torch.equal(one.get_parameter("0.weight"), reseeded.get_parameter("0.weight"))
    # What a file holds ready is copied, so that no start changes it for the next one.
    first = given.build(0)
    nn.init.zeros_(first.get_parameter("0.weight"))
    assert given.build(0).get_parameter("0.weight").any()
    assert given.graph is not None
    assert torch.equal(torch.get_rng_state(), random)


def test_classes_are_given_where_they_are_taken(mine: str) -> None:
    (found,) = candidates(replace(CONFIG, splits={}, models=(f"{mine}:with_classes",)), 4, 7)
    assert found.build(0).get_parameter("1.weight").shape == (7, 48)
    pytest.importorskip("torchvision")
    (found,) = candidates(replace(CONFIG, splits={}, models=("vit_b_32",)), 64, 7)
    with torch.no_grad():
        assert found.build(0).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_models_that_are_not_there_are_told_at_once() -> None:
    pytest.importorskip("torchvision")
    with pytest.raises(ValueError, match=r"torchvision has no model 'resnet19': did you mean .*resnet18"):
        candidates(replace(CONFIG, models=("resnet19",)), 32, 10)


def test_without_torchvision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    for changes, what in (({"predefined": True}, r"ResNet-50 \(--no-pre.*\)"), ({"models": ("resnet18",)}, ".*")):
        with pytest.raises(
            ValueError, match=what + r' needs torchvision, which is not installed: pip install "ghn\[vi'
        ):
            candidates(replace(CONFIG, **changes), 32, 10)  # type: ignore[arg-type]


def test_networks_of_a_published_file(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    drawn = DeepNets("test")
    _, metadata = write_published(tmp_path, "mine", {"test": [drawn.arguments(1)]})
    config = replace(CONFIG, splits={"test": 1}, metadata=str(metadata))
    (found,) = candidates(config, 32, 10)
    shapes = [parameter.shape for parameter in found.build(0).parameters()]
    assert shapes == [parameter.shape for parameter in drawn[1].network.parameters()]
    with pytest.raises(ValueError, match=r"mine_meta\.json has 1 networks of test, not 2; ask for fewer"):
        candidates(replace(config, splits={"test": 2}), 32, 10)
