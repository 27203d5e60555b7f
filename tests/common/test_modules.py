import itertools
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from ghn.common.modules import (
    check_module,
    depth,
    modes_kept,
    modules,
    named_buffers,
    named_modules,
    named_parameters,
    set_mode,
    tensors_of,
)


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


def tied() -> Any:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), nn.LSTM(2, 2))
    model[1][1].weight = model[0].weight
    model.append(model[1])
    model.register_module("none", None)
    return model


@pytest.mark.parametrize(
    "make", [tied, lambda: nn.TransformerDecoderLayer(4, 2, 4), lambda: torch.jit.script(nn.Linear(2, 2))]
)
def test_the_same_as_the_methods(make: Any) -> None:
    model = make()
    assert [id(module) for module in list(modules(model))] == [id(module) for module in model.modules()]
    assert {name: id(p) for name, p in named_parameters(model).items()} == {
        name: id(p) for name, p in model.named_parameters()
    }
    assert list(named_parameters(model)) == [name for name, _ in model.named_parameters()]
    assert [id(t) for t in tensors_of(model)] == [id(t) for t in [*model.parameters(), *model.buffers()]]
    for training in (False, True):
        set_mode(model, training)
        assert all(module.training == training for module in model.modules())


def test_a_class_may_say_what_its_parameters_are_and_what_its_modes_do() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> Any:
            super().train(mode)
            self[0].eval()
            return self

        def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
            return self[1].named_parameters(*args, **kwargs)

    model = Frozen(nn.BatchNorm1d(2), nn.Linear(2, 2))
    assert list(named_parameters(model)) == ["weight", "bias"]
    set_mode(model, True)
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_a_weak_proxy_is_the_module_that_it_stands_for() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2))
    model.again = weakref.proxy(model[0])
    assert list(modules(model)) == [model, model[0]]
    assert depth(model) == 2


def test_modes_are_as_before_also_after_an_error() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout()))
    model[0].eval()
    before = [module.training for module in model.modules()]
    with suppress(RuntimeError), modes_kept(model):
        model.eval()
        model[0].train()
        raise RuntimeError("within")
    assert [module.training for module in model.modules()] == before == [True, False, True, True]


@pytest.mark.parametrize("given", [None, "resnet18", 3, [nn.Linear(1, 1)], nn.Linear])
def test_what_is_no_model_is_told(given: Any) -> None:
    for use in (check_module, named_parameters, lambda model: list(named_modules(model))):
        with pytest.raises(
            ValueError, match=r"^a model is a torch\.nn\.Module, not \w+( 'resnet18')?; build it first$"
        ):
            use(given)  # type: ignore[operator]
    check_module(nn.Linear(1, 1))
    check_module(weakref.proxy(kept := nn.Linear(1, 1)))
    assert kept.weight is not None
