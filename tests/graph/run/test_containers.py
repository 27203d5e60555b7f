"""Arguments of any type, with other tensors in them."""

import threading
from collections import OrderedDict, UserDict, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from ghn.graph.run.containers import holds_data, tensors_anywhere, with_tensors

X, Y = torch.zeros(3), torch.ones(2)


class Attributes(dict):
    """A mapping whose every attribute is an item, so that it has no protocol of copying."""

    __getattr__ = dict.__getitem__


class Pair(NamedTuple):
    first: Tensor
    second: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Tensor
    others: list[Tensor] = field(default_factory=list)


class Slotted:
    __slots__ = ("__private", "x")

    def __init__(self, x: Tensor) -> None:
        self.x, self.__private = x, [x]

    @property
    def private(self) -> list[Tensor]:
        return self.__private


class Choosy:
    """Makes no instance without arguments, and answers no question of copying."""

    def __new__(cls, x: Tensor) -> Any:
        return super().__new__(cls)

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __deepcopy__(self, memo: Any) -> Any:
        raise NotImplementedError


def added(tensor: Tensor) -> Tensor:
    return tensor + 5


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (lambda: Attributes(x=X), lambda it: it.x),
        (lambda: defaultdict(lambda: Y, x=X), lambda it: it["x"]),
        (lambda: OrderedDict(x=X), lambda it: it["x"]),
        (lambda: UserDict(x=X), lambda it: it["x"]),
        (lambda: Pair(X), lambda it: it.first),
        (lambda: Frozen(X), lambda it: it.x),
        (lambda: Frozen(Y, [X]), lambda it: it.others[0]),
        (lambda: Slotted(X), lambda it: it.private[0]),
        (lambda: Choosy(X), lambda it: it.x),
        (lambda: deque([X], maxlen=1), lambda it: it[0]),
        (lambda: [(X,)], lambda it: it[0][0]),
    ],
)
def test_a_container_keeps_its_type(given: Any, read: Any) -> None:
    given = given()
    assert any(tensor is X for tensor in tensors_anywhere(given))
    copied = with_tensors(given, added)
    assert type(copied) is type(given)
    assert torch.equal(read(copied), X + 5)
    assert read(given) is X, "what was given is left as it is"


def test_a_default_stays_and_fills_the_copy_only() -> None:
    given: Any = defaultdict(list, x=X)
    copied = with_tensors(given, added)
    assert copied["missing"] == []
    assert "missing" not in given


def test_what_was_one_object_is_one() -> None:
    shared = [X]
    it: dict[str, Any] = {"a": shared, "b": shared, "c": X}
    it["self"] = it
    copied = with_tensors(it, added)
    assert copied["a"] is copied["b"]
    assert copied["a"][0] is copied["c"]
    assert copied["self"] is copied
    assert len(list(tensors_anywhere(it))) == 1


def test_what_holds_no_tensor_is_handed_on_and_what_a_call_could_change_is_not() -> None:
    sentinel, lock, names = object(), threading.Lock(), ["a"]
    generator = (number for number in range(3))
    copied = with_tensors([sentinel, lock, generator, names, len, Pair], added)
    assert copied[0] is sentinel
    assert copied[1] is lock
    assert copied[2] is generator
    assert copied[3] == names
    assert copied[3] is not names
    assert copied[4:] == [len, Pair]


def test_a_packed_sequence_stays_one() -> None:
    packed = pack_padded_sequence(torch.zeros(2, 3, 4), torch.tensor([3, 2]), batch_first=True)
    copied = with_tensors(packed, lambda tensor: tensor + 1)
    assert isinstance(copied, PackedSequence)
    assert torch.equal(copied.data, packed.data + 1)


def test_a_jagged_tensor_is_what_it_holds() -> None:
    jagged = torch.nested.nested_tensor([torch.zeros(3, 2), torch.zeros(1, 2)], layout=torch.jagged)
    assert (4, 2) in [tuple(tensor.shape) for tensor in tensors_anywhere([jagged])]
    copied = with_tensors([jagged, jagged], lambda tensor: tensor + 1 if tensor.is_floating_point() else tensor)
    assert copied[0] is copied[1]
    assert torch.equal(copied[0].values()[:, :2], torch.ones(4, 2))


@pytest.mark.parametrize("given", [["a"], {"x": [1.5]}, Frozen(X, ["a"]), b"a"])  # type: ignore[list-item]
def test_data_that_is_no_tensor(given: Any) -> None:
    assert holds_data(given)


@pytest.mark.parametrize("given", [X, [X, True, None], {"a name": X}, ()])
def test_no_data_but_tensors(given: Any) -> None:
    assert not holds_data(given)


def test_jagged_tensors_of_the_same_lengths_are_so_again() -> None:
    first = torch.nested.nested_tensor([torch.ones(3, 2), torch.ones(1, 2)], layout=torch.jagged)
    seen: list[int] = []

    def copied(tensor: Tensor) -> Tensor:
        seen.append(id(tensor))
        return tensor.clone()

    one, other = with_tensors((first, first * 2), copied)
    assert (one + other).values().tolist() == [[3.0, 3.0]] * 4
    assert one.shape[1] != first.shape[1], "lengths of their own"
    assert len(seen) == len(set(seen))
