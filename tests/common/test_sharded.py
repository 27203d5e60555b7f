"""Which part of a sharded tensor is a process's own."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from ghn.common.sharded import (
    describe_placements,
    is_replicated,
    is_sharded,
    local_part,
    own_part,
    own_range,
    reshard,
    with_own_part,
)


class Mesh:
    """A mesh of processes seen from one of them."""

    def __init__(self, sizes: tuple[int, ...], place: tuple[int, ...] | None) -> None:
        self.sizes, self.place, self.ndim = sizes, place, len(sizes)

    def size(self, dim: int) -> int:
        return self.sizes[dim]

    def get_coordinate(self) -> tuple[int, ...] | None:
        return self.place


class Strided:
    """What FSDP2 gives to a tensor that tensor parallelism cuts along the same axis first."""

    def __init__(self, dim: int, split_factor: int) -> None:
        self.dim, self.split_factor = dim, split_factor

    def is_replicate(self) -> bool:
        return False


class Sharded:
    """What `own_range` asks of a DTensor."""

    def __init__(self, mesh: Mesh, placements: tuple[Any, ...], shape: tuple[int, ...], local: Tensor) -> None:
        self.device_mesh, self.placements, self.shape, self.local = mesh, placements, torch.Size(shape), local

    def to_local(self) -> Tensor:
        return self.local


def cut(whole: Tensor, cuts: list[tuple[int, int, int]]) -> Tensor:
    """The definition: (axis, processes, place) after (axis, processes, place), in `torch.chunk`s."""
    for axis, count, place in cuts:
        parts = whole.chunk(count, axis)
        whole = parts[place] if place < len(parts) else whole.narrow(axis, 0, 0)
    return whole


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7, 8, 12])
@pytest.mark.parametrize("sizes", [(1,), (2,), (3,), (2, 2), (2, 3), (3, 2), (2, 2, 2)])
def test_own_part_is_what_chunks_leave(rows: int, sizes: tuple[int, ...]) -> None:
    whole = torch.arange(rows * 6).view(rows, 6)
    for place in product(*(range(size) for size in sizes)):
        mesh, every = Mesh(sizes, place), list(zip(sizes, place, strict=True))
        layouts: list[tuple[tuple[Any, ...], list[tuple[int, int, int]]]] = [
            ((Shard(0),) * len(sizes), [(0, *pair) for pair in every]),
            ((Shard(1),) * len(sizes), [(1, *pair) for pair in every]),
            ((Replicate(),) * (len(sizes) - 1) + (Shard(0),), [(0, *every[-1])]),
        ]
        if len(sizes) == 2:
            layouts.append(((Shard(1), Shard(0)), [(1, *every[0]), (0, *every[1])]))
            layouts.append(((Strided(0, sizes[1]), Shard(0)), [(0, *every[1]), (0, *every[0])]))
        if len(sizes) == 3:
            right_to_left = (Strided(0, sizes[1] * sizes[2]), Strided(0, sizes[2]), Shard(0))
            layouts.append((right_to_left, [(0, *pair) for pair in reversed(every)]))
        for placements, cuts in layouts:
            expected = cut(whole, cuts)
            tensor = Sharded(mesh, placements, tuple(whole.shape), torch.empty(expected.shape))
            assert torch.equal(own_part(whole, tensor), expected)


def test_layouts_that_are_not_understood() -> None:
    mesh, shape = Mesh((2, 2), (0, 1)), (8, 8)
    half = torch.empty(4, 8)
    assert own_range(Sharded(mesh, (Shard(0), Replicate()), shape, half)) == ((0, 4), (0, 8))
    assert own_range(Sharded(mesh, (Partial(), Shard(0)), shape, half)) is None
    # The part has another shape than the placements say; a stride over what is not cut.
    assert own_range(Sharded(mesh, (Shard(0), Shard(0)), shape, half)) is None
    assert own_range(Sharded(mesh, (Strided(0, 2), Shard(1)), shape, torch.empty(4, 4))) is None


def test_processes_outside_the_mesh_hold_nothing() -> None:
    tensor = Sharded(Mesh((2,), None), (Shard(0),), (8, 8), torch.empty(0))
    assert own_range(tensor) == ((0, 0), (0, 0))


@pytest.mark.filterwarnings("ignore:DTensor random operators")
def test_true_sharded_tensors(mesh: DeviceMesh) -> None:
    whole = torch.randn(5, 4)
    plain = nn.Parameter(whole)
    sharded: Any = nn.Parameter(distribute_tensor(whole.clone(), mesh, [Shard(0)]))
    assert (is_sharded(plain), is_sharded(sharded)) == (False, True)
    assert not is_replicated(sharded)
    assert is_replicated(distribute_tensor(whole, mesh, [Replicate()]))
    assert describe_placements(sharded) == "S(0)"
    assert torch.equal(own_part(whole, sharded), whole)
    made = with_own_part(whole + 1, sharded)
    assert isinstance(made, DTensor)
    assert made.placements == sharded.placements
    assert torch.equal(made.full_tensor(), whole + 1)
    with torch.no_grad():
        local_part(sharded).zero_()
    assert not sharded.full_tensor().any()


def test_models_that_fsdp_does_not_shard() -> None:
    reshard(nn.Sequential(nn.Linear(2, 2)))
