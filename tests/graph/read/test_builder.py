"""What is taken down of a record, and the frozen reading that remains."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from ghn.graph import Role
from ghn.graph.read.builder import INPUT, Builder
from ghn.graph.read.flow import CONSTANT, Flow
from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.record.op_graph import Operation, OpGraph, Ref, Value


def value(dtype: torch.dtype = torch.float32, *shape: int) -> Value:
    return Value(shape, tuple(1 for _ in shape), dtype, 0, 0)


X, W, STEPS, PHASE, OUT, MASK = range(6)


def record() -> OpGraph:
    """An input, three parameters, and two operations that make features of the input, and a mask of these."""
    types = [torch.float32, torch.float32, torch.int64, torch.complex64, torch.float32, torch.bool]
    return OpGraph(
        values=[value(dtype, 2, 3) for dtype in types],
        operations=[Operation("sin", (Ref(X),), {}, (X,), (OUT,)), Operation("gt", (Ref(OUT),), {}, (OUT,), (MASK,))],
        parameters={"w": W, "steps": STEPS, "phase": PHASE},
        inputs=[X],
        outputs=[OUT, MASK],
    )


def test_what_is_known_at_the_start() -> None:
    builder = Builder(record())
    assert builder.flow(Ref(X)) == Flow(carriers=frozenset({INPUT}), data=True)
    assert builder.flow(Ref(W)) == Flow(leaves=("w",), pure=True)
    assert builder.flow(Ref(OUT)) is CONSTANT
    assert builder.flow(3) is builder.flow(None) is CONSTANT
    assert builder.value(3) is None
    assert builder.value(Ref(W)) is builder.tensor(Ref(W)) is builder.parameter("w")


def test_integers_given_as_inputs_carry_nothing() -> None:
    tokens = record()
    tokens.values[X] = value(torch.int64, 2, 3)
    assert Builder(tokens).flow(Ref(X)) == Flow(data=True)


def test_masks_remember_whom_they_come_from() -> None:
    given = record()
    builder = Builder(given)
    node = builder.add_node("conv", [builder.flow(Ref(X))])
    builder.set_result(given.operations[0], builder.after(node, builder.flow(Ref(X))))
    builder.set_result(given.operations[1], builder.flow(Ref(OUT)))
    assert builder.flow(Ref(MASK)) == Flow(data=True)
    reading = builder.finish()
    assert [flow.carriers for flow in reading.outputs] == [{node}, set()]
    assert reading.deciders == {node}, "it is returned"
    given.outputs = [OUT]
    assert builder.finish().deciders == set(), "nothing comes of it"


def test_reasons_of_all_parameters_in_their_order() -> None:
    builder = Builder(record())
    node = builder.add_node("conv", [])
    builder.claim(["phase", "steps"], node, Role.WEIGHT)
    reading = builder.finish()
    codes = [ReasonCode.UNUSED, ReasonCode.INTEGERS, ReasonCode.COMPLEX]
    assert list(reading.reasons) == ["w", "steps", "phase"]
    assert [reason.code for reason in reading.reasons.values()] == codes
    assert not reading.claims, "nothing but real numbers can be predicted"


def test_first_reason_stays_but_claims_and_lookups_weigh_more() -> None:
    builder = Builder(record())
    builder.keep(["w"], Reason(ReasonCode.REPARAMETRISES, weight="v"))
    builder.keep(["w"], ReasonCode.SCALE)
    assert builder.finish().reasons["w"] == "reparametrises v"
    builder.claim(["w"], builder.add_node("conv", []), Role.WEIGHT)
    assert builder.finish().reasons["w"].code is ReasonCode.UNUSED, "if no claim is on a path to the output"
    assert list(builder.finish().claims) == ["w"]
    builder.keep_lookup(["w"])
    builder.claim(["w"], builder.add_node("conv", []), Role.WEIGHT)
    assert builder.finish().reasons["w"].code is ReasonCode.LOOKUP
    assert not builder.finish().claims, "whether claimed before or after"


def test_pools_and_their_squeezes() -> None:
    builder = Builder(record())
    features, others = Flow(carriers=frozenset({INPUT})), Flow(carriers=frozenset({7}))
    node = builder.add_node("glob_avg", [features])
    pools = {builder.note_average(features, node), builder.note_average(features), builder.note_average(others)}
    assert len(pools) == 3
    mine = builder.averages_of(features, pools)
    assert node in mine
    assert len(mine) == 2
    builder.squeeze(mine)
    assert [draft.squeeze for draft in builder.finish().nodes] == [False, True]


def test_kind_of_an_output_is_that_of_the_first_input() -> None:
    builder = Builder(record())
    score, plain = Flow(score=True, pools=frozenset({3})), Flow(data=True, pools=frozenset({-1}))
    kept = builder.after(5, score, plain, keep_kind=True)
    assert (kept.score, kept.data, kept.pools, kept.carriers) == (True, True, {3, -1}, {5})
    assert not builder.after(5, plain, score, keep_kind=True).score
    assert not builder.after(5, score).score
    assert builder.after(5) == Flow(carriers=frozenset({5}))


def test_reading_is_frozen_and_apart_from_its_builder() -> None:
    builder = Builder(record())
    reading = builder.finish()
    with pytest.raises(FrozenInstanceError):
        reading.nodes = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        reading.nodes[0].squeeze = True  # type: ignore[misc]
    for mapping in (reading.claims, reading.reasons):
        with pytest.raises(TypeError):
            mapping["w"] = ()  # type: ignore[index]
    node = builder.add_node("conv", [])
    builder.claim(["w"], node, Role.WEIGHT)
    builder.note_pointwise(Flow(carriers=frozenset({node})))
    assert (len(reading.nodes), dict(reading.claims), reading.pointwise) == (1, {}, set())
