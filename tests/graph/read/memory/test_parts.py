"""Parts of a tensor against the plain list of them, copied at each write."""

import random

import pytest
import torch

from ghn.graph.read.flow import CONSTANT, Flow
from ghn.graph.read.memory.parts import Part, Parts, Tally
from ghn.graph.record.op_graph import Value
from ghn.graph.record.writes import overlap

LENGTH = 24


def piece(start: int, length: int, storage: int = 0) -> Value:
    return Value((length,), (1,), torch.float32, storage, start)


def part(draw: random.Random, storage: int = 0) -> Part:
    start = draw.randrange(LENGTH)
    flow = draw.choice((Flow(carriers=frozenset({draw.randrange(99)})), Flow(leaves=("weight",)), CONSTANT))
    return Part(flow, piece(start, draw.randint(1, min(3, LENGTH - start)), storage))


def written_plainly(parts: list[Part], new: Part, *, over: bool) -> list[Part]:
    base, *rest = parts
    return [base, *(known for known in rest if not over or known.place != new.place), new]


def shown_plainly(parts: list[Part], view: Value) -> list[Part] | None:
    base, *rest = parts
    if any(known.place.storage != view.storage for known in parts):
        return None
    shown = [known for known in rest if overlap(known.place, view)]
    if len(shown) == len(rest):
        return None
    return shown if sum(known.size for known in shown) >= view.distinct else [base, *shown]


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_a_list_that_is_copied(seed: int) -> None:
    draw = random.Random(seed)
    base = Part(Flow(carriers=frozenset({0})), piece(0, LENGTH))
    versions: list[tuple[Parts, list[Part]]] = [(Parts(base), [base])]
    for step in range(150):
        # Now and then an earlier tensor is written to once more.
        parts, plain = versions[-1] if draw.random() < 0.9 else draw.choice(versions)
        new, over = part(draw, storage=int(step > 140)), draw.random() < 0.8
        versions.append((parts.with_part(new, over=over), written_plainly(plain, new, over=over)))
    for parts, plain in versions:
        assert list(parts) == plain
        assert parts.written.size == sum(known.size for known in plain[1:])
        assert parts.all.carrying == sum(bool(known.flow.carriers) for known in plain)
        assert parts.all.parameters == sum(known.flow.is_parameter for known in plain)
        for start in range(LENGTH):
            view = piece(start, min(2, LENGTH - start))
            assert parts.shown_by(view) == shown_plainly(plain, view)


def test_a_base_that_is_covered_is_a_constant() -> None:
    whole = piece(0, 2)
    parts = Parts(Part(Flow(leaves=("weight",)), whole)).with_part(Part(CONSTANT, whole), over=True)
    assert parts.without_base(whole).base.flow is CONSTANT
    assert parts.base.flow.leaves == ("weight",)
    assert list(parts.without_base(whole))[1:] == list(parts)[1:]


def test_each_parameter_is_noted_once() -> None:
    base = Part(Flow(leaves=("base",)), piece(0, 2))
    parts = Parts(base).with_part(Part(Flow(leaves=("first",)), piece(0, 1)), over=True)
    assert [flow.leaves for flow in parts.parameters_to_note()] == [("base",), ("first",)]
    parts = parts.with_part(Part(Flow(leaves=("second",)), piece(1, 1)), over=True)
    assert [flow.leaves for flow in parts.parameters_to_note()] == [("second",)]


def test_tallies_add_and_subtract() -> None:
    one = Tally.of(Part(Flow(carriers=frozenset({1}), score=True), piece(0, 3)))
    assert (one.parts, one.size, one.running, one.carrying, one.scores, one.weights) == (1, 3, 1, 1, 1, 0)
    assert one.plus(one).plus(one, -1) == one
