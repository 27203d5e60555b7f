"""Copies of models without their numbers."""

import collections
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.run.copying import copy_model
from ghn.graph.trace import trace


def test_attributes_that_cannot_be_copied() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.lock = threading.Lock()
            self.features: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            with self.lock:
                self.features.append(self.a(x))
            return self.features[-1]

    model = Keeping()
    model(torch.zeros(2, 4))
    kept = model.features[0]
    trace(model, torch.zeros(2, 4))
    assert model.features == [kept]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weight_norm_of_old() -> None:
    graph = trace(nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4))), torch.zeros(2, 4))
    assert set(graph.parameters) == {"0.bias", "0.weight_v"}


X = torch.zeros(4, 8)


def ops(model: nn.Module, inputs: Tensor = X) -> list[str]:
    return [node.op for node in trace(model, inputs).nodes]


def test_an_empty_defaultdict_keeps_its_factory() -> None:
    class Logging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(8, 10)
            self.log: dict[str, list[torch.Size]] = collections.defaultdict(list)

        def forward(self, x: Tensor) -> Tensor:
            self.log["shapes"].append(x.shape)
            return self.a(x)

    model = Logging()
    assert ops(model) == ["input", "conv", "bias"]
    assert not model.log


def to_meta(tensor: Tensor) -> Tensor:
    like = torch.empty_like(tensor, device="meta")
    return nn.Parameter(like, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else like


def test_each_tensor_is_converted_once_and_sharing_remains() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    model.append(model[0])
    model[1].weight = model[0].weight
    converted: list[Tensor] = []

    def convert(tensor: Tensor) -> Tensor:
        converted.append(tensor)
        return to_meta(tensor)

    copied = copy_model(model, convert)
    assert isinstance(copied, nn.Sequential)
    assert len(converted) == len([*model.parameters(), *model.buffers()]) == 8
    assert copied[3] is copied[0] is not model[0]
    assert copied[1].weight is copied[0].weight
    assert all(tensor.is_meta for tensor in copied.state_dict().values())
    assert not any(tensor.is_meta for tensor in model.state_dict().values())
    assert [name for name, _ in copied.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_what_a_copy_does_is_not_seen() -> None:
    model = nn.Linear(2, 2)
    model.notes, model.settings, model.nothing = [[1]], {"a": {}}, {}  # type: ignore[assignment]
    copied: Any = copy_model(model, to_meta)
    copied.notes[0].append(2)
    copied.settings["a"]["b"] = 1
    copied.nothing["a"] = 1
    copied.register_forward_hook(lambda *_: None)
    copied.register_buffer("more", torch.zeros(1))
    copied.child = nn.Linear(1, 1)
    copied.eval()
    assert (model.notes, model.settings, model.nothing) == ([[1]], {"a": {}}, {})
    assert not model._forward_hooks
    assert not [*model.buffers(), *model.children()]
    assert model.training


def test_attributes_that_name_a_parameter_name_its_copy() -> None:
    model: Any = nn.Linear(2, 2)
    model.shortcut = [model.weight, {"bias": model.bias}]
    copied: Any = copy_model(model, to_meta)
    assert copied.shortcut[0] is copied.weight
    assert copied.shortcut[1]["bias"] is copied.bias


def test_parts_with_a_copying_protocol_of_their_own_keep_it() -> None:
    class Own(nn.Linear):
        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            copied = Own(self.in_features, self.out_features, device="meta")
            copied.marked = True  # type: ignore[assignment]
            return copied

    copied: Any = copy_model(nn.Sequential(Own(2, 2), nn.Linear(2, 2)), to_meta)
    assert copied[0].marked
    assert not hasattr(copied[1], "marked")


def test_modules_without_parameters_and_missing_children() -> None:
    model: Any = nn.Module()
    model.absent = None
    model.register_module("child", None)
    model.register_parameter("weight", None)
    copied: Any = copy_model(model, to_meta)
    assert copied.child is copied.weight is copied.absent is None
