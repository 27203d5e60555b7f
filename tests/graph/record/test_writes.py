import random
import time

import pytest
import torch
from torch import Tensor

from ghn.graph.record import writes
from ghn.graph.record.op_graph import Value
from ghn.graph.record.writes import FEW, Writes, overlap


def value(tensor: Tensor) -> Value:
    return Value(tuple(tensor.shape), tensor.stride(), tensor.dtype, 0, int(tensor.storage_offset()))


def views(count: int, seed: int) -> list[Tensor]:
    """Random views of one tensor: rows, columns, blocks, steps, transposed."""
    choose = random.Random(seed)
    whole = torch.arange(24 * 10).view(24, 10)
    found = []
    for _ in range(count):
        top, left = choose.randrange(20), choose.randrange(8)
        part = whole[top : top + choose.randint(1, 6) : choose.choice((1, 2)), left : left + choose.randint(1, 3)]
        found.append(choose.choice((part, part, part, part.t(), whole[top], whole[:, left])))
    return found


@pytest.mark.parametrize("forgetting", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_many_at_once_equal_one_by_one(seed: int, forgetting: bool) -> None:
    parts = views(6 * FEW, seed)
    seen, values = Writes(forgetting=forgetting), [value(part) for part in parts]
    for number, written in enumerate(values):
        seen.append(100 + number, written)
    places = [(written.offset, written.shape, written.stride) for written in values]
    # Of what is written over at the same place the last is left.
    last = {place: at for at, place in enumerate(places)}
    assert len(last) < len(parts)
    for since in (0, 7, len(parts) - FEW, len(parts)):
        for number, read in enumerate(values):
            left = [at for at in range(since, len(parts)) if last[places[at]] == at or not forgetting]
            expected = [100 + at for at in left if overlap(read, values[at]) and at != number]
            assert seen.seen_by(100 + number, read, since) == expected


def test_overlap_is_exact_for_equal_strides_and_never_misses() -> None:
    parts = views(40, 11)
    for first in parts:
        for second in parts:
            shared = bool(set(first.flatten().tolist()) & set(second.flatten().tolist()))
            said = overlap(value(first), value(second))
            assert said or not shared
            if first.stride() == second.stride() and all(first.stride()):
                assert said == shared


def test_nothing_is_compared_one_by_one_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Value] = []

    def counted(first: Value, second: Value) -> bool:
        calls.append(second)
        return True

    monkeypatch.setattr(writes, "overlap", counted)
    seen = Writes()
    rows = [value(row) for row in torch.zeros(1000, 4)]
    for number, row in enumerate(rows):
        assert seen.seen_by(number, row, 0) == [] or number <= FEW
        seen.append(number, row)
    assert len(calls) <= FEW * (FEW + 1) / 2
    began = time.process_time()
    assert all(seen.seen_by(-1, row, 0) == [number] for number, row in enumerate(rows))
    assert time.process_time() - began < 5


def test_what_is_written_over_at_the_same_place_is_gone() -> None:
    writes = Writes(forgetting=True)
    column, other, wide = (Value((2,), (4,), torch.float32, 0, offset) for offset in (0, 1, 0))
    wide.shape, wide.stride = (2, 4), (4, 1)
    for number, value in enumerate((column, other, column, wide, column) * 10):
        writes.append(number, value)
    # Of fifty writes three are left: the last to each place.
    assert writes.seen_by(-1, wide, 0) == [46, 48, 49]
    assert writes.seen_by(-1, column, 47) == [48, 49]
    assert writes.seen_by(49, column, 0) == [48]
