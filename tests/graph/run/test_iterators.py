"""Iterators are used up in the place of the user's."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ghn.graph.run.iterators import Replayed, independent, is_iterator

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


def test_files_and_users_iterators_are_none_of_these() -> None:
    class Own:
        def __next__(self) -> int:
            return 1

    with open(__file__) as file:
        assert not is_iterator(type(file))
    assert not is_iterator(Own)
    assert not is_iterator(list)
