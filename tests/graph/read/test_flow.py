"""Provenance of what an operation makes of several tensors."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from ghn.graph.read.flow import CONSTANT, Flow, Stage, join

WEIGHT, OTHER = Flow(leaves=("w",), pure=True), Flow(leaves=("v", "w"), gathered=True)
FEATURES = Flow(carriers=frozenset({1}), data=True)
BRANCH = Flow(carriers=frozenset({2, 3}), data=True)
POSITIONS = Flow(carriers=frozenset({4}))
MASK = Flow(data=True)
FLOWS = [CONSTANT, WEIGHT, OTHER, FEATURES, BRANCH, POSITIONS, MASK, replace(FEATURES, score=True, attention=True)]


@pytest.mark.parametrize(
    ("flow", "runs", "is_parameter"),
    [
        (CONSTANT, False, False),
        (WEIGHT, False, True),
        (FEATURES, True, False),
        (POSITIONS, True, False),
        (MASK, True, False),
        (replace(FEATURES, leaves=("w",)), True, False),
    ],
)
def test_kinds(flow: Flow, runs: bool, is_parameter: bool) -> None:
    assert (flow.runs, flow.is_parameter) == (runs, is_parameter)


@pytest.mark.parametrize(
    ("flows", "expected"),
    [
        ([], CONSTANT),
        ([CONSTANT, CONSTANT], CONSTANT),
        # What is computed from parameters is no view of one any more; each is named once, in order.
        ([WEIGHT], Flow(leaves=("w",))),
        ([OTHER, WEIGHT], Flow(leaves=("v", "w"), gathered=True)),
        ([WEIGHT, OTHER, CONSTANT], Flow(leaves=("w", "v"), gathered=True)),
        # Features take over.
        ([FEATURES, WEIGHT], FEATURES),
        ([FEATURES, BRANCH], Flow(carriers=frozenset({1, 2, 3}), data=True)),
        ([POSITIONS, CONSTANT], POSITIONS),
        ([POSITIONS, FEATURES], Flow(carriers=frozenset({1, 4}), data=True)),
        ([MASK, WEIGHT], MASK),
    ],
)
def test_join(flows: list[Flow], expected: Flow) -> None:
    assert join(flows) == expected


@pytest.mark.parametrize("kind", ["score", "attention", "statistic"])
def test_kinds_must_be_shared_by_all_features(kind: str) -> None:
    yes: dict[str, Any] = {kind: True}
    of_kind = replace(FEATURES, **yes)
    assert getattr(join([of_kind, replace(BRANCH, **yes)]), kind)
    assert not getattr(join([of_kind, BRANCH]), kind)
    # Masks, constants and parameters change nothing.
    assert getattr(join([of_kind, MASK, WEIGHT, CONSTANT]), kind)


def test_what_one_tensor_alone_is() -> None:
    normalised = replace(FEATURES, normalised=True)
    assert join([normalised, WEIGHT, MASK]).normalised
    assert not join([normalised, replace(BRANCH, normalised=True)]).normalised
    product = replace(FEATURES, stage=Stage.PRODUCT)
    assert join([product, replace(BRANCH, stage=Stage.PRODUCT)]).stage is Stage.PRODUCT
    assert join([product, BRANCH]).stage is Stage.NONE
    left = replace(FEATURES, norm=1, summed=4, mixed=("w",))
    assert join([left]) == FEATURES, "an operation stands between the normalisation and a bias that follows"


def test_pools_and_processing_add_up() -> None:
    joined = join([replace(FEATURES, pools=frozenset({5})), replace(BRANCH, pools=frozenset({-1}), processed=True)])
    assert (joined.pools, joined.processed) == (frozenset({5, -1}), True)


@pytest.mark.parametrize("flows", itertools.product(FLOWS, repeat=2))
def test_order_does_not_matter_and_integers_carry_nothing(flows: tuple[Flow, Flow]) -> None:
    first, second = join(flows), join(reversed(flows))
    assert replace(first, leaves=()) == replace(second, leaves=())
    assert set(first.leaves) == set(second.leaves)
    integers = join(flows, carries=False)
    assert integers == (Flow(data=first.data) if first.runs else first)
