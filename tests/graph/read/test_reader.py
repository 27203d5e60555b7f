"""One pass over a record, without a model."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ghn.graph.read.builder import Reading
from ghn.graph.read.reader import read
from ghn.graph.reasons import ReasonCode
from ghn.graph.record.op_graph import OpGraph
from ghn.graph.record.recorder import Recorder

X, W = torch.zeros(4, 6), torch.zeros(6, 6)


def reading_of(function: Callable[[Tensor, Tensor], Tensor]) -> Reading:
    """The reading of a function of features and one parameter, `w`."""
    recorder = Recorder()
    recorder.graph.parameters = {"w": recorder.add(W)}
    recorder.graph.inputs = [recorder.add(X)]
    with torch.no_grad(), recorder:
        output = function(X, W)
    recorder.graph.outputs = [recorder.read(output)]
    return read(recorder.graph)


def test_nothing_ran() -> None:
    reading = read(OpGraph())
    assert [node.op for node in reading.nodes] == ["input"]
    assert [*reading.outputs, *reading.claims, *reading.reasons] == []


@pytest.mark.parametrize(
    ("function", "ops", "reason"),
    [
        (lambda x, w: x @ w, ["conv"], ReasonCode.UNUSED),
        (lambda x, w: x, [], ReasonCode.UNUSED),
        # A product of parameters that is no weight is a layer that the input does not reach.
        (lambda x, w: w @ w + x.sum(), ["conv", "sum"], ReasonCode.UNUSED),
        (lambda x, w: x * w[0], [], ReasonCode.SCALE),
        (lambda x, w: torch.cat([x, w]), [], ReasonCode.TOKEN),
        (lambda x, w: x + w[0, 0], [], ReasonCode.SCALAR),
        (lambda x, w: x + w[0], [], ReasonCode.LOOKUP),
        (lambda x, w: x + w.sum(0), [], ReasonCode.SHAPE),
        (lambda x, w: torch.atan2(x, w[:4]), [], ReasonCode.NO_PRIMITIVE),
        # What stood there is gone.
        (lambda x, w: x.clone().copy_(w[:4]) + x, ["pos_enc", "sum"], ReasonCode.UNUSED),
        (lambda x, w: w[x[:, 0].long()], [], ReasonCode.NO_PRIMITIVE),
        (lambda x, w: torch.nn.functional.embedding(x[:, 0].long(), w), [], ReasonCode.LOOKUP),
        (lambda x, w: x @ torch.nn.functional.embedding(x[:, 0].long(), w).T, [], ReasonCode.LOOKUP),
        (lambda x, w: torch.nn.functional.embedding(x[:, 0].long(), w) @ w, ["conv"], ReasonCode.LOOKUP),
        (lambda x, w: (x @ w) @ w.t(), ["conv", "conv"], ReasonCode.UNUSED),
    ],
)
def test_what_operators_mean(function: Callable[[Tensor, Tensor], Tensor], ops: list[str], reason: ReasonCode) -> None:
    reading = reading_of(function)
    assert [node.op for node in reading.nodes][1:] == ops
    assert reading.reasons["w"].code is reason


def test_a_weight_computed_from_a_weight_is_no_layer_of_its_own() -> None:
    reading = reading_of(lambda x, w: x @ (w @ w.softmax(-1)))
    assert [node.op for node in reading.nodes] == ["input", "conv"]
    assert [claim.node for claim in reading.claims["w"]] == [1]


def test_each_use_is_claimed_in_order() -> None:
    reading = reading_of(lambda x, w: (x @ w).relu() @ w)
    assert [claim.node for claim in reading.claims["w"]] == [1, 2]
    assert [node.predecessors for node in reading.nodes] == [frozenset(), {0}, {1}]
    assert reading.outputs[0].carriers == {2}
