"""Whatever a forward pass changes, and whatever way it comes to tensors, the model is as before and all is found."""

import collections
import functools
import random
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ghn.graph.run.arguments import Inputs
from ghn.graph.run.process import process_untouched
from ghn.graph.run.reach import kept_as_it_is
from ghn.graph.run.rungs import RUNGS
from ghn.graph.trace import TraceError, trace

X = torch.zeros(2, 4)
SEEN: list[Tensor] = []
COUNT = 0
RUNGS_TO_TRY = ["meta", "guess", "fake", "real"]


class Way(nn.Module):
    """Two layers and a normalisation; `call` says how they are come to."""

    def __init__(self, call: Callable[..., Tensor], prepare: Callable[[Any], Any] = lambda _: None) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.call = call
        prepare(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def plain(self: Any, x: Tensor) -> Tensor:
    return self.b(self.norm(self.a(x)))


def _set(name: str, make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda model: setattr(model, name, make(model))


def _patched(model: Any) -> None:
    for child in model.children():
        child.forward = functools.partial(lambda old, x: old(x), child.forward)


def _closure(model: nn.Module) -> Callable[[Tensor], Tensor]:
    layers = list(model.children())
    return lambda x: functools.reduce(lambda x, layer: layer(x), layers, x)


def _dict_of_bound(model: Any) -> dict[str, Any]:
    return {"run": [model.a.forward, (model.norm.__call__, model.b)]}


def _hooked(model: Any) -> None:
    model.norm.register_forward_hook(lambda module, args, output: model.b(output))


WAYS = {
    "patched": Way(plain, _patched),
    "closure": Way(lambda self, x: self.run(x), _set("run", _closure)),
    "partial": Way(lambda self, x: self.run(x), _set("run", lambda m: functools.partial(plain, m))),
    "weak": Way(
        lambda self, x: self.refs[1]()(self.norm(self.refs[0]()(x))),
        _set("refs", lambda m: [weakref.ref(m.a), weakref.ref(m.b)]),
    ),
    "proxy": Way(lambda self, x: self.b(self.norm(self.run(x))), _set("run", lambda m: weakref.proxy(m.a))),
    "bound": Way(
        lambda self, x: self.kept["run"][1][1](self.norm(self.kept["run"][0](x))), _set("kept", _dict_of_bound)
    ),
    "hook": Way(lambda self, x: self.norm(self.a(x)), _hooked),
    "compiled": Way(plain, lambda m: m.compile()),
    "tensors": Way(
        lambda self, x: nn.functional.linear(self.norm(nn.functional.linear(x, *self.held[0])), **self.held[1]),
        _set("held", lambda m: [(m.a.weight, m.a.bias), {"weight": m.b.weight, "bias": m.b.bias}]),
    ),
    "data": Way(
        lambda self, x: self.b(self.norm(x @ self.held[0].t() + self.held[1])),
        _set("held", lambda m: [m.a.weight.data, m.a.bias.detach()]),
    ),
    "lock": Way(lambda self, x: self.lock.__enter__() and plain(self, x), _set("lock", lambda _: threading.RLock())),
    "functional": Way(
        lambda self, x: (
            torch.func.functional_call(self.a, dict(self.a.named_parameters()), (x,)) @ self.b.weight.t()
            + self.b.bias
            + 0 * self.norm(x).sum()
        )
    ),
}


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


WAYS_ON_RUNGS = [
    # Compiled models take the compiler's time, on any rung.
    pytest.param(way, rung, marks=[pytest.mark.slow] if way == "compiled" else [])
    for way in WAYS
    for rung in RUNGS_TO_TRY
]


@pytest.mark.parametrize(("way", "rung"), WAYS_ON_RUNGS)
def test_every_way_leads_to_the_parameters_and_to_no_change(way: str, rung: str) -> None:
    model = WAYS[way]
    before, attributes = state(model), {id(m): dict(m.__dict__) for m in model.modules()}
    versions = [tensor._version for tensor in [*model.parameters(), *model.buffers()]]
    with process_untouched():
        record = RUNGS[rung](model, Inputs((X,)), True)
    assert record.parameters_used == 6
    assert same(before, state(model))
    assert versions == [tensor._version for tensor in [*model.parameters(), *model.buffers()]]
    assert all(dict(m.__dict__) == attributes[id(m)] for m in model.modules())


@functools.lru_cache
def remembered(width: int, device: torch.device) -> Tensor:
    return torch.ones(width, device=device)


def changing(self: Any, x: Tensor) -> Tensor:
    """Change all that can be changed."""
    global COUNT
    COUNT += 1
    SEEN.append(x)
    type(self).calls.append(1)
    type(self).latest = x
    self.features.append(x)
    self.by_name["x"][0].append(x)
    self.by_name["y"] = x
    self.names.add("x")
    self.queue.append(x)
    self.array += 1
    self.numbers.random(), self.numpy.random()
    torch.rand(2, generator=self.torch)
    self.holder.value = x
    self.holder.more = x
    self.slotted.value = x
    self.counter()
    self.last = x
    self.a.scale = 2.0
    self.a.weight.note = x
    self.constant.add_(1)
    self.kept[0].mul_(2)
    self.constant.data = self.constant.data + 1
    self.a.bias.data = self.a.bias.data * 2
    self.a.weight.requires_grad_(False)
    self.a.weight.grad = self.a.weight * 1
    self.b.weight.mul_(0.5)
    self.register_buffer("cache", x)
    self.extra = nn.Linear(4, 4)
    self.a.register_forward_hook(lambda *_: None)
    del self.removed
    self.eval()
    next(self.iterator), next(self.started)
    torch.manual_seed(3), torch.randn(3), random.random(), np.random.rand()
    torch.set_default_dtype(torch.float64)
    return plain(self, x) * remembered(1, x.device)


class Holder:
    value: Any = None


class Slotted:
    __slots__ = ("missing", "value")

    def __init__(self) -> None:
        self.value = 1


class Changing(Way):
    calls: list[int] = []
    latest: Any = None


def _everything(model: Any) -> None:
    count = 0

    def counter() -> None:
        nonlocal count
        count += 1

    def numbers() -> Iterator[int]:
        yield from range(9)

    model.features, model.names, model.queue = [], {"a"}, collections.deque(maxlen=2)
    model.by_name = collections.OrderedDict(x=([1],))
    model.array, model.numbers, model.numpy = np.zeros(3), random.Random(1), np.random.default_rng(1)
    model.torch = torch.Generator().manual_seed(1)
    model.holder, model.slotted, model.counter = Holder(), Slotted(), counter
    model.constant, model.kept, model.removed = torch.ones(4), [torch.ones(4)], 1
    model.iterator, model.started = numbers(), numbers()
    next(model.started)


def _seen(model: Any) -> Any:
    return (
        *(list(model.features), set(model.names), list(model.queue), list(model.by_name), model.by_name["x"]),
        *(model.array.tolist(), model.numbers.getstate(), model.numpy.bit_generator.state, vars(model.holder).copy()),
        *(model.torch.get_state().tolist(), model.slotted.value, model.counter.__closure__[0].cell_contents),
        *(model.constant.tolist(), model.kept[0].tolist(), model.removed, sorted(vars(model)), sorted(vars(model.a))),
        *(model.a.weight.__dict__.copy(), model.a.weight.requires_grad, model.a.weight.grad, model.training),
        *(len(SEEN), COUNT, len(Changing.calls), Changing.latest, random.getstate(), torch.get_rng_state().tolist()),
        *(repr(np.random.get_state()), torch.get_default_dtype(), remembered.cache_info().currsize),
        *(list(model.a._forward_hooks), list(model._buffers), list(model._modules)),
    )


@pytest.mark.parametrize("fails", [False, KeyboardInterrupt, ZeroDivisionError])
def test_whatever_a_run_changes_is_put_back(fails: Any) -> None:
    def call(self: Any, x: Tensor) -> Tensor:
        x = changing(self, x)
        if fails:
            raise fails
        return x

    model: Any = Changing(call, _everything)
    before, seen = state(model), _seen(model)
    if fails:
        with pytest.raises(TraceError if fails is ZeroDivisionError else KeyboardInterrupt):
            trace(model, X)
    else:
        assert len(trace(model, X).parameters) == 6
    assert same(before, state(model))
    after = _seen(model)
    assert [index for index, (a, b) in enumerate(zip(seen, after, strict=True)) if a != b] == []
    assert (next(model.iterator), next(model.started)) == (0, 1)


def test_layers_made_at_the_first_call_are_not_kept_and_lazy_ones_stay_lazy() -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            if not hasattr(self, "second"):
                self.second = nn.Linear(3, 3)
            return self.second(self.first(x))

    model: Any = Growing()
    hooks = dict(model.first._forward_pre_hooks)
    assert set(trace(model, X).parameters) == {"first.weight", "first.bias"}
    assert type(model.first) is nn.LazyLinear
    assert dict(model.first._forward_pre_hooks) == hooks
    assert not hasattr(model, "second")
    assert model(X).shape == (2, 3)


def test_what_cannot_be_copied_or_pickled_is_no_obstacle() -> None:
    class Slots(nn.Module):
        __slots__ = ("scale",)

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.scale = nn.Linear(4, 2), [4]

        act: Any

        def forward(self, x: Tensor) -> Tensor:
            self.scale.append(1)
            return self.act(self.linear(x)) * self.scale[0]

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no copies")

        def __getstate__(self) -> Any:
            raise TypeError("no pickles")

    model: Any = Slots()
    model.act = torch.jit.script(torch.nn.functional.relu) if hasattr(torch, "jit") else torch.relu
    model.open, model.thread = open(__file__), threading.current_thread()  # noqa: SIM115
    with model.open:
        assert len(trace(model, X).parameters) == 2
    assert model.scale == [4]


def test_names_of_methods_are_free_for_attributes() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 2)
            self.modules, self.children, self.buffers = [self.linear], 3, "text"  # type: ignore[assignment]
            self.train, self.eval = True, None  # type: ignore[assignment]

        def forward(self, x: Tensor) -> Tensor:
            return self.modules[0](x)  # type: ignore[index]

    assert len(trace(Named(), X).parameters) == 2


def test_a_module_that_is_no_part_is_left_as_it_is_too() -> None:
    teacher: Any = nn.BatchNorm1d(4)
    model = Way(lambda self, x: plain(self, teacher(x)))
    for rung in RUNGS_TO_TRY:
        RUNGS[rung](model, Inputs((X,)), True)
    assert teacher.num_batches_tracked == 0
    assert torch.equal(teacher.running_mean, torch.zeros(4))


def test_tensors_that_nothing_leads_to_are_not_written_to_either() -> None:
    hidden = [torch.zeros(4), torch.zeros(2, dtype=torch.long)]

    class Elsewhere:
        def __getattr__(self, name: str) -> Any:
            return globals()["_HIDDEN"]

    globals()["_HIDDEN"] = hidden

    def call(self: Any, x: Tensor) -> Tensor:
        first, second = Elsewhere().anything
        first += 1
        second.add_(1)
        return plain(self, x + first)

    for rung in RUNGS_TO_TRY:
        RUNGS[rung](Way(call), Inputs((X,)), False)
    assert [tensor.tolist() for tensor in hidden] == [[0] * 4, [0] * 2]


def test_what_is_reached() -> None:
    inner = nn.Linear(2, 2)
    model: Any = nn.BatchNorm1d(3)
    model.run, model.constant = (lambda x: inner(x)), [torch.ones(1)]
    with kept_as_it_is(model) as reach:
        assert reach.modules == [model]
        assert {id(t) for t in reach.parameters} == {id(t) for t in [*model.parameters(), *inner.parameters()]}
        assert {id(t) for t in reach.buffers} == {id(t) for t in model.buffers()}
        assert [id(t) for t in reach.tensors] == [id(model.constant[0])]


class Made(collections.OrderedDict):  # type: ignore[type-arg]
    """Answers with an object of the class that it holds, as tables of activations do."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key)()


class Reversed(list):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[Any]:
        return reversed(list(super().__iter__()))


def test_containers_are_read_past_their_own_methods() -> None:
    def call(self: Any, x: Tensor) -> Tensor:
        self.ordered.move_to_end("a")
        self.reversed.append(3)
        return plain(self, x)

    model: Any = Way(call)
    model.made, model.reversed = Made(relu=nn.ReLU), Reversed([1, 2])
    model.ordered = collections.OrderedDict(a=1, b=2)
    trace(model, X)
    assert dict.__getitem__(model.made, "relu") is nn.ReLU
    assert list(list.__iter__(model.reversed)) == [1, 2]
    assert list(model.ordered) == ["a", "b"]


@pytest.mark.parametrize("make", [lambda: iter([0, 1, 2, 3]), lambda: map(int, "0123")], ids=["copied", "replayed"])
def test_iterators_that_something_unchangeable_holds_are_not_used_up(make: Callable[[], Any]) -> None:
    def call(self: Any, x: Tensor) -> Tensor:
        numbers = [next(self.pair[0]), next(self.nested[1][0]), self.partial(), self.next(), next(self.pair[0])]
        assert numbers == [0, 0, 0, 0, 1]
        return plain(self, x)

    model: Any = Way(call)
    model.pair, model.nested = (make(), "x"), ("x", (make(),))
    model.partial, model.next = functools.partial(next, make()), make().__next__
    partial = model.partial
    assert trace(model, X).traced_by == trace(model, X).traced_by == "meta"
    assert model.partial is partial
    assert [list(model.pair[0]), list(model.nested[1][0])] == [[0, 1, 2, 3]] * 2
    assert [model.partial(), model.next()] == [0, 0]


def test_an_iterator_that_two_hold_stays_one() -> None:
    def call(self: Any, x: Tensor) -> Tensor:
        next(self.numbers)
        return plain(self, x)

    model: Any = Way(call)
    model.numbers = map(int, "0123")
    model.pair = (model.numbers, 1)
    trace(model, X)
    assert [next(model.numbers), next(model.pair[0]), next(model.numbers)] == [0, 1, 2]
