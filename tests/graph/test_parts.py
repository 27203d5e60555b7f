import itertools
from collections.abc import Mapping
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.parts import depth, modules, named_buffers, named_modules, named_parameters


class Nest(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.norm, self.inner = nn.BatchNorm1d(2), inner


def nested(levels: int) -> nn.Module:
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(levels):
        model = Nest(model)
    return model


def shared() -> nn.Module:
    part = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model = nn.Module()
    model.first, model.second = part, nn.ModuleList([part, nn.Linear(2, 2), part[0]])
    model.register_module("nothing", None)
    cast(nn.ModuleList, model.second)[1].weight = part[0].weight
    model.register_parameter("empty", None)
    return model


def circular() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    model.append(model)
    return model


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))


def identities(tensors: Mapping[str, Tensor]) -> list[tuple[str, int]]:
    return [(name, id(tensor)) for name, tensor in tensors.items()]


MODELS = [nn.Linear(2, 2), shared(), circular(), nested(20), nn.LSTM(2, 2, 2)]


@pytest.mark.parametrize("model", MODELS)
def test_the_same_as_by_pytorch_in_the_same_order(model: nn.Module) -> None:
    assert list(named_modules(model)) == list(model.named_modules())
    assert list(modules(model)) == list(model.modules())
    assert identities(named_parameters(model)) == identities(dict(model.named_parameters()))
    assert identities(named_buffers(model)) == identities(dict(model.named_buffers()))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_scripted_modules_have_parts() -> None:
    assert list(named_parameters(scripted())) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(named_buffers(scripted())) == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]


def test_a_class_that_names_its_parameters_itself_is_asked() -> None:
    class Renamed(nn.Linear):
        def named_parameters(self, *args, **kwargs):
            return ((f"own.{name}", parameter) for name, parameter in super().named_parameters(*args, **kwargs))

    assert list(named_parameters(Renamed(2, 2))) == ["own.weight", "own.bias"]


def test_attributes_that_hide_methods_do_not_matter() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.__dict__.update(modules=[1], parameters={}, children=None)
    assert list(named_parameters(model)) == ["0.weight", "0.bias"]


def test_any_depth() -> None:
    model = nested(3000)
    assert depth(model) == 3001
    names = list(itertools.islice(named_parameters(model), 6004))
    assert len(names) == 6002
    assert names[-1] == "inner." * 3000 + "bias"


def test_depth_of_shared_and_circular_models() -> None:
    assert depth(nn.Linear(2, 2)) == 1
    assert depth(shared()) == 3
    assert depth(circular()) == 2
