"""Tensors of which each process holds a part: `DTensor`, as FSDP2 and tensor parallelism make them.

Nothing here communicates, and `torch.distributed.tensor`, which takes long to import, is used only where something has
imported it: where there is no such module there is no such tensor.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from torch import Tensor, nn

from ghn.common.modules import modules


def is_sharded(tensor: Tensor) -> bool:
    """Whether the tensor is a `DTensor`, also one of which each process holds a copy."""
    kind = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)
    return kind is not None and isinstance(tensor, kind)


def local_part(tensor: Any) -> Tensor:
    """What this process holds of a `DTensor`, in the same memory."""
    part = tensor.to_local()
    assert isinstance(part, Tensor)
    return part


def own_range(tensor: Any) -> tuple[tuple[int, int], ...] | None:
    """Which part of the whole this process holds.

    Args:
        tensor: A `DTensor`.

    Returns:
        Start and length along each axis; None if its placements are not understood (partial sums, ragged shards).
    """
    ranges = [(0, size) for size in tensor.shape]
    mesh = tensor.device_mesh
    place = mesh.get_coordinate()
    if place is None:
        return tuple((0, 0) for _ in ranges)
    sizes = [mesh.size(dim) for dim in range(mesh.ndim)]
    for dim in _order(tensor.placements):
        placement = tensor.placements[dim]
        if placement.is_replicate():
            continue
        axis = getattr(placement, "dim", None)
        if type(axis) is not int or not _strides_over_later(tensor.placements, dim, sizes):
            return None
        start, length = ranges[axis]
        chunk = -(-length // sizes[dim])
        first = min(chunk * place[dim], length)
        ranges[axis] = start + first, min(chunk, length - first)
    own = tuple(length for _, length in ranges)
    return tuple(ranges) if own == tuple(local_part(tensor).shape) else None


def own_part(whole: Tensor, tensor: Any) -> Tensor:
    """This process's part of `whole`, as a view; `whole` has the shape of the `DTensor`, whose `own_range` is known."""
    for axis, (start, length) in enumerate(own_range(tensor) or ()):
        whole = whole.narrow(axis, start, length)
    return whole


def with_own_part(part: Tensor, tensor: Any) -> Tensor:
    """A `DTensor` laid out like another, of which this process holds `part`."""
    kind = sys.modules["torch.distributed.tensor"].DTensor
    strides = tuple(math.prod(tensor.shape[axis + 1 :]) for axis in range(tensor.dim()))
    made = kind.from_local(
        part, tensor.device_mesh, tensor.placements, run_check=False, shape=tensor.shape, stride=strides
    )
    assert isinstance(made, Tensor)
    return made


def reshard(model: nn.Module) -> None:
    """Free the whole parameters that FSDP2 may have left in place of the sharded ones after a forward pass.

    What is written to them would be lost. `model.state_dict()` does the same.

    Args:
        model: Any; nothing happens to those that FSDP2 does not shard.
    """
    kind: Any = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    for module in modules(model) if kind is not None else ():
        if isinstance(module, kind):
            module.reshard()


def is_replicated(tensor: Any) -> bool:
    """Whether each process of a `DTensor` holds the whole."""
    return all(placement.is_replicate() for placement in tensor.placements)


def describe_placements(tensor: Any) -> str:
    """The placements of a `DTensor` in words of PyTorch."""
    return ", ".join(str(placement) for placement in tensor.placements)


def _order(placements: Any) -> list[int]:
    """Dimensions of the mesh in the order in which they cut: those that stride over later ones cut after them."""
    dims = range(len(placements))
    strided = [dim for dim in dims if _split_factor(placements[dim]) > 1]
    return [dim for dim in dims if dim not in strided] + strided[::-1]


def _strides_over_later(placements: Any, dim: int, sizes: list[int]) -> bool:
    """Whether the placement cuts evenly, or, if strided, just what later dimensions of the mesh left."""
    factor = _split_factor(placements[dim])
    axis = placements[dim].dim
    later = [sizes[other] for other in range(dim + 1, len(sizes)) if getattr(placements[other], "dim", None) == axis]
    return factor == 1 or factor == math.prod(later)


def _split_factor(placement: Any) -> int:
    return int(getattr(placement, "split_factor", 1))
