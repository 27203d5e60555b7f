"""Which parameters stand in a part of a tensor that was concatenated of them."""

import pytest
import torch

from ghn.graph.read.flow import Flow
from ghn.graph.read.memory.pieces import Pieces
from ghn.graph.record.op_graph import Operation, Ref, Value

SIZES = (2, 3, 1, 4)
NAMES = "abcd"


def names_between(start: int, stop: int) -> list[str]:
    """Those of the elements, one by one."""
    elements = [name for name, size in zip(NAMES, SIZES, strict=True) for _ in range(size)]
    return list(dict.fromkeys(elements[start:stop]))


def whole() -> tuple[Pieces, list[Value]]:
    values = [Value((size, 2), (2, 1), torch.float32, at, 0) for at, size in enumerate(SIZES)]
    values.append(Value((sum(SIZES), 2), (2, 1), torch.float32, len(SIZES), 0))
    flows = [Flow(leaves=(name,), pure=True) for name in NAMES]
    inputs = tuple(range(len(SIZES)))
    cat = Operation("cat", ([Ref(at) for at in inputs], 0), {}, inputs, (len(SIZES),))
    pieces = Pieces.joined(cat, values, flows.__getitem__, {})
    assert pieces is not None
    return pieces, values


@pytest.mark.parametrize("start", range(10))
def test_a_slice_holds_what_stands_between(start: int) -> None:
    pieces, values = whole()
    for stop in range(start + 1, 11):
        cut = Operation("slice", (Ref(4), 0, start, stop), {}, (4,), (5,))
        (taken,) = pieces.taken(cut, values)
        assert [name for flow in taken.parts for name in flow.leaves] == names_between(start, stop)
        assert list(taken.flow.leaves) == names_between(start, stop)
        assert taken.ends[-1] == stop - start


def test_all_together() -> None:
    pieces, _ = whole()
    assert tuple(pieces.flow.leaves) == tuple(NAMES)
    assert pieces.ends == (2, 5, 6, 10)
