"""Unions equal the sets that are merged at once, however they came about, and share what they have in common."""

import random
from typing import Any

import pytest

from ghn.graph.unions import FEW, Union, bounds, is_one, ordered, union


def random_sets(seed: int) -> list[tuple[Any, set[int]]]:
    """Unions of earlier sets, each with its elements merged at once."""
    draw = random.Random(seed)
    found: list[tuple[Any, set[int]]] = [(frozenset({number}), {number}) for number in range(60)]
    for _ in range(80):
        chosen = draw.sample(found, draw.choice((1, 2, 2, 3, 40)))
        merged: set[int] = set().union(*(elements for _, elements in chosen))
        found.append((union([one for one, _ in chosen], frozenset), merged))
    return found


@pytest.mark.parametrize("seed", range(10))
def test_equal_to_sets_merged_at_once(seed: int) -> None:
    found = random_sets(seed)
    assert any(isinstance(one, Union) for one, _ in found)
    for one, elements in found:
        assert [number in one for number in range(-1, 61)] == [number in elements for number in range(-1, 61)]
        assert bounds(one) == (min(elements), max(elements))
        assert is_one(one) == (len(elements) == 1)
    for one, elements in found:
        for other, others in random.Random(seed).sample(found, 20):
            assert (one == other) == (elements == others)
        assert one == frozenset(elements)
        assert len(one) == len(elements)
        assert hash(one) == hash(frozenset(elements))


def test_order_is_that_of_the_first_meeting() -> None:
    names = [f"{number:03}" for number in range(3 * FEW)]
    random.Random(0).shuffle(names)
    merged: Any = ()
    for name in names:
        merged = union([merged, (name,), (names[0],)], ordered)
    assert isinstance(merged, Union)
    assert list(merged) == names


def test_few_are_merged_at_once() -> None:
    assert union([frozenset({1}), frozenset(), frozenset({2})], frozenset) == {1, 2}
    assert type(union([("a",), ("b", "a")], ordered)) is tuple
    assert not union([frozenset(), frozenset()], frozenset)
    one = frozenset(range(2 * FEW))
    assert union([one, one, frozenset()], frozenset) is one


def test_deep_unions_need_no_recursion() -> None:
    merged: Any = frozenset({0})
    for number in range(1, 20_000):
        merged = union([merged, frozenset({number})], frozenset)
    assert 19_999 in merged
    assert -1 not in merged
    assert 7 in merged
    assert len(merged) == 20_000
