"""Values and operations of a record."""

import pytest
import torch

from ghn.graph.record.op_graph import OUTSIDE, Operation, OpGraph, Value


def value(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Value:
    return Value(shape, stride, dtype, 0, 0)


@pytest.mark.parametrize(
    ("shape", "stride", "numel", "distinct"),
    [((), (), 1, 1), ((0, 3), (3, 1), 0, 0), ((2, 3), (3, 1), 6, 6), ((2, 3), (0, 1), 6, 3), ((4, 4), (0, 0), 16, 1)],
)
def test_elements(shape: tuple[int, ...], stride: tuple[int, ...], numel: int, distinct: int) -> None:
    assert (value(shape, stride).numel, value(shape, stride).distinct) == (numel, distinct)


@pytest.mark.parametrize(
    ("dtype", "carries"),
    [(torch.bfloat16, True), (torch.complex64, True), (torch.bool, False), (torch.int64, False), (torch.uint8, False)],
)
def test_integers_and_masks_carry_no_features(dtype: torch.dtype, carries: bool) -> None:
    assert value((1,), (1,), dtype).carries == carries


def test_arguments_by_position_and_name() -> None:
    operation = Operation("mean", (1, None), {"dim": 7, "keepdim": True}, (), ())
    assert operation.argument(0, "dim") == 1
    assert operation.argument(1, "dim", 5) is None, "what is given as None is given"
    assert operation.argument(2, "keepdim") is True
    assert operation.argument(2, "dtype", "none") == "none"
    assert operation.argument(9) is None


def using(*inputs: tuple[int, ...], decided_at: int | None) -> OpGraph:
    """A record of two parameters, values 0 and 1, whose operations read these values."""
    operations = [Operation("add", (), {}, values, ()) for values in inputs]
    return OpGraph(operations=operations, parameters={"a": 0, "b": 1}, decided_at=decided_at)


@pytest.mark.parametrize(
    ("inputs", "decided_at", "used", "rests"),
    [
        ([], None, 0, False),
        ([], 0, 0, True),
        ([(0, 5), (0,)], None, 1, False),
        ([(0,), (1,)], 1, 2, True),
        ([(0,), (1,)], 2, 2, False),
        ([(0, 1), (7,)], 1, 2, False),
    ],
)
def test_rests_on_a_guess_before_all_parameters_are_used(inputs, decided_at, used: int, rests: bool) -> None:
    record = using(*inputs, decided_at=decided_at)
    assert (record.parameters_used, record.rests_on_a_guess) == (used, rests)


def test_numbers_that_come_back_may_be_made_of_those_that_left() -> None:
    values = [Value((2,), (1,), kind, storage, 0) for storage, kind in enumerate([torch.float32] * 6 + [torch.int64])]
    operations = [Operation(name, (), {}, (at,), (at + 1,)) for name, at in (("relu", 0), ("neg", 2), ("exp", 4))]
    graph = OpGraph(values=values)
    graph.come_back(0)
    for operation, left, back in zip(operations, (1, 3, 5), (2, 4, 6), strict=True):
        graph.operations.append(operation)
        graph.leave(left)
        graph.come_back(back)
    connected = graph.with_detours()
    assert [operation.name for operation in connected.operations] == ["relu", OUTSIDE, "neg", OUTSIDE, "exp"]
    assert [(operation.inputs, operation.outputs) for operation in connected.operations[1::2]] == [
        ((1,), (2,)),
        ((3,), (4,)),
    ]
    assert graph.operations == operations
