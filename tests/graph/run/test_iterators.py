"""Iterators are used up in the place of the user's."""

import collections
import csv
import inspect
import io
import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from ghn.graph.run.iterators import Replayed, independent, is_iterator
from ghn.graph.trace import TraceError, trace

LETTERS = "abc"


def generator(start: int, *more: int, step: int = 1, **named: int) -> Iterator[int]:
    yield from range(start, 9, step)
    yield from (*more, *named.values(), len(LETTERS))


def closing(held: list[int]) -> Iterator[int]:
    return (held[0] * i for i in itertools.count())


@pytest.mark.parametrize(
    ("make", "fresh"),
    [
        (lambda: generator(3, 1, 2, step=2, last=7), True),
        (lambda: closing([3]), True),
        (lambda: iter([1, 2, 3]), True),
        (lambda: iter(range(4)), True),
        (lambda: map(str, [1, 2, 3]), False),
        (lambda: zip("abc", itertools.count(), strict=False), False),
        (lambda: itertools.cycle([1, 2]), False),
        (lambda: iter({1: 2, 3: 4}), False),
        (lambda: iter(collections.deque([1, 2, 3])), False),
        (lambda: csv.reader(io.StringIO("a,b\nc,d\ne,f\n")), False),
        (lambda: np.arange(5).flat, False),
        (lambda: np.ndindex(2, 2), False),
    ],
)
def test_what_is_taken_is_taken_from_another(make: Callable[[], Any], fresh: bool) -> None:
    own, expected = make(), list(itertools.islice(make(), 3))
    assert is_iterator(type(own))
    taking = independent(own)
    assert list(itertools.islice(taking, 2)) == expected[:2]
    assert isinstance(taking, Replayed) == (not fresh)
    again = own if fresh else taking.again()
    assert list(itertools.islice(again, 3)) == expected


def test_a_generator_that_has_started_is_replayed() -> None:
    own = generator(0)
    next(own)
    taking = independent(own)
    assert (next(taking), next(iter(taking))) == (1, 2)
    assert next(taking.again()) == 1


def averages() -> Generator[float, float | None, str]:
    total, count, sent = 0.0, 0, None
    while count < 4:
        try:
            sent = yield total / max(count, 1)
        except KeyError:
            total = 100.0
        total, count = total + (sent or 0.0), count + 1
    return "end"


def _started() -> Any:
    own = averages()
    next(own)
    own.send(2.0)
    return own


def test_a_generator_that_was_sent_values_gives_the_same_for_the_same() -> None:
    own = _started()
    taking: Any = independent(own)
    assert (taking.send(4.0), next(taking)) == (3.0, 2.0)
    again: Any = taking.again()
    assert inspect.getgeneratorstate(again) == inspect.GEN_SUSPENDED
    assert (again.__name__, again.send(4.0), again.send(None)) == ("averages", 3.0, 2.0)
    with pytest.raises(StopIteration) as end:
        again.send(1.0)
    assert end.value.value == "end"


def test_a_generator_that_is_sent_other_values_goes_on_as_it_is() -> None:
    taking: Any = independent(_started())
    taking.send(4.0)
    again: Any = taking.again()
    assert again.send(6.0) == 4.0
    with pytest.raises(StopIteration):
        again.send(0.0)
    taking = independent(_started())
    next(taking)
    again = taking.again()
    assert again.throw(KeyError) == pytest.approx(100 / 3)
    again.close()
    assert inspect.getgeneratorstate(taking.iterator) == inspect.GEN_CLOSED


def test_tensors_are_not_sent_to_what_cannot_be_set_back() -> None:
    own = _started()
    taking: Any = independent(own)
    with pytest.raises(ValueError, match="it sends a tensor to the generator averages, which has started"):
        taking.send([torch.ones(1)])
    assert not taking.taken
    assert own.send(4.0) == 3.0
    with pytest.raises(AttributeError, match="send"):
        independent(map(int, "12")).send(1)


def test_files_and_users_iterators_are_none_of_these() -> None:
    class Own:
        def __next__(self) -> int:
            return 1

    with open(__file__) as file:
        assert not is_iterator(type(file))
    assert not is_iterator(csv.DictReader)
    assert not is_iterator(io.StringIO)
    assert not is_iterator(Own)
    assert not is_iterator(list)


class Sending(torch.nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.a, self.generator, self.value = torch.nn.Linear(4, 2), _started(), value
        self.reader = csv.DictReader(io.StringIO("x\n1\n2\n"))
        self.unused = _started()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert next(self.reader)["x"] == "1"
        return self.a(x) * self.generator.send(self.value)


def test_models_that_send_values_to_generators() -> None:
    model = Sending(4.0)
    unused = model.unused
    for _ in range(2):
        assert trace(model, torch.zeros(2, 4)).traced_by == "meta"
    assert model.unused is unused
    assert model.generator.send(4.0) == 3.0
    assert [row["x"] for row in model.reader] == ["1", "2"]
    assert model.reader.line_num == 3
    with pytest.raises(TraceError, match="it sends a tensor to the generator averages"):
        trace(Sending(torch.ones(1)), torch.zeros(2, 4))
