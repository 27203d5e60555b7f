"""Sums over processes that share one device, where NCCL refuses to run and gloo goes through the host.

Each process writes its numbers into its row of a buffer that all have mapped (CUDA IPC; on the CPU a file in memory),
waits for the others, and adds up the rows in the order of the ranks: every process gets the same bits.

Legend: R processes, n numbers.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor


class SharedSum:
    """Sums of float32 numbers over all processes of the default group, on one device of one machine.

    There are two buffers that take turns, so that one barrier a sum is enough: who has passed the barrier of the next
    sum has read what the last one gave. Where the system lets processes share no memory of the device, sums are those
    of the group's backend.

    Args:
        device: The one that all processes use.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.maps = True
        """Whether the processes could share memory so far."""
        self._rows_2Rn = torch.empty(2, self.world, 0, device=device)
        self._turn = 0

    def sum_(self, numbers_n: Tensor) -> None:
        """Replace numbers on `device`, equally many in each process, by their sums over the processes."""
        if self.maps and self._rows_2Rn.shape[-1] < len(numbers_n):
            mapped = self._map(len(numbers_n))
            self.maps = mapped is not None
            self._rows_2Rn = self._rows_2Rn if mapped is None else mapped
        if not self.maps:
            dist.all_reduce(numbers_n)
            return
        rows_Rn = self._rows_2Rn[self._turn, :, : len(numbers_n)]
        self._turn = 1 - self._turn
        rows_Rn[self.rank].copy_(numbers_n)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        dist.barrier()
        torch.sum(rows_Rn, dim=0, out=numbers_n)

    def _map(self, count: int) -> Tensor | None:
        """Buffers for `count` numbers that process 0 makes and the others map; None in all where one of them cannot."""
        shape = (2, self.world, count)
        buffer: Tensor | None = None
        offered: list[Any] = [None]
        with suppress(RuntimeError, OSError):
            if self.rank == 0:
                buffer, offered[0] = _offer(shape, self.device)
        dist.broadcast_object_list(offered)
        with suppress(RuntimeError, OSError):
            if self.rank != 0 and offered[0] is not None:
                buffer = _accept(offered[0], shape)
        have: list[Any] = [None] * self.world
        dist.all_gather_object(have, buffer is not None)
        if self.rank == 0 and isinstance(offered[0], str):
            # All have it open by now.
            Path(offered[0]).unlink(missing_ok=True)
        return buffer if all(have) else None


def _offer(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Any]:
    """A new buffer of zeros, and what another process needs to map it."""
    if device.type == "cuda":
        buffer = torch.zeros(shape, device=device)
        torch.cuda.synchronize(device)
        return buffer, reduce_tensor(buffer)
    memory = "/dev/shm"
    handle, name = tempfile.mkstemp(prefix="ghn-sum-", dir=memory if os.path.isdir(memory) else None)
    os.ftruncate(handle, 4 * torch.Size(shape).numel())
    os.close(handle)
    return _accept(name, shape), name


def _accept(offered: Any, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(offered, str):
        rebuild, arguments = offered
        mapped: Tensor = rebuild(*arguments)
        return mapped
    return torch.from_file(offered, shared=True, size=torch.Size(shape).numel()).view(shape)
