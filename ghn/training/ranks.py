"""Data-parallel training under `torchrun`: who this process is, and sums over all processes.

Each process trains its own networks of the meta-batch and adds up their gradients, scaled by 1/m with m counted over
all processes; one sum over the processes at the end of a step then gives the gradient of a single process. PyTorch's
DistributedDataParallel would not:

- It averages over processes, which is the mean over networks only where each has equally many and none was skipped.
- It sums while a backward pass runs, as soon as a parameter's gradient is there. Here a step has as many backward
  passes as parts of the meta-batch are predicted at a time (`accumulate`), processes may differ in their number, and
  one whose networks all lacked memory has none: the others would wait for ever.
- Processes hold different graphs, so that on some of them a parameter (the embedding of a primitive that is nowhere,
  or any at all where no network had memory) has no part in the loss; every pass would have to look for those.

What is given up is summing during the backward pass. The hypernetwork's is a small part of a step, most of which goes
into the target networks, so there is little to hide a sum behind.

Several processes may share a card: small networks keep a GPU waiting for the launches of one process. NCCL refuses
that; then gloo sets the group up, and sums are those of `ghn.common.parallel.shared_sum`, on the card itself.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ghn.common.devices import chosen_device
from ghn.common.parallel.processes import share
from ghn.common.parallel.shared_sum import SharedSum
from ghn.common.private_torch import foreach_copy_

Kind = TypeVar("Kind")

BUCKET = 1 << 24
"""Elements that are summed over processes at a time (64 MB in float32)."""

TIMEOUT = "GHN_RANK_TIMEOUT"
"""Environment variable: seconds after which a silent process counts as lost."""

LONGEST = 10**8
"""Of these: three years, which PyTorch can still count in milliseconds."""


class RankLostError(RuntimeError):
    """Another process of the run has gone; the message says how to go on."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """The processes of a run, as a context manager that ends the process group.

    Attributes:
        rank: Number of this process.
        world: Number of processes.
        device: Device of this process.
        shared: How to sum, where all processes use one device of one machine.
        owned: Whether the process group ends with this.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    shared: SharedSum | None = None
    owned: bool = True

    @classmethod
    def from_environment(cls, device: str | None = None, *, timeout: float = 600) -> Ranks:
        """Join the group that `torchrun` describes in the environment; a single process without it.

        A group that the process has joined already is taken, and not ended.

        Where a machine has more processes than cards, they share these evenly.

        Args:
            device: "cpu", "cuda" or "cuda:N"; by default CUDA where there is any. Of several processes each has the
                card of its own number.
            timeout: Seconds after which a silent process counts as lost, unless the environment variable
                GHN_RANK_TIMEOUT says otherwise.

        Raises:
            ValueError: When the device is not there, or GHN_RANK_TIMEOUT is no number of seconds.
            RankLostError: When the other processes do not join in that time.
        """
        asked = torch.device(chosen_device(device))
        kind = asked.type
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls(device=asked)
        backend, chosen, one_device = "gloo", torch.device("cpu"), False
        if kind == "cuda":
            here, cards = int(os.environ.get("LOCAL_WORLD_SIZE", world)), torch.cuda.device_count()
            chosen = torch.device(kind, place(int(os.environ.get("LOCAL_RANK", "0")), here, cards))
            torch.cuda.set_device(chosen)
            backend, one_device = "gloo" if here > cards else "nccl", here == world and cards == 1
        owned = not dist.is_initialized()
        if owned:
            _join(backend, timeout=timedelta(seconds=_timeout_of_environment() or timeout))
        shared = SharedSum(chosen) if one_device else None
        return cls(rank=dist.get_rank(), world=world, device=chosen, shared=shared, owned=owned)

    @property
    def is_first(self) -> bool:
        """Whether this process writes logs and states."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """This process's part of `count` items, as even as can be.

        Raises:
            ValueError: When some process would get none.
        """
        return share(count, self.rank, self.world)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over all processes.

        Raises:
            RankLostError: When a process does not answer.
        """
        if self.world == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            try:
                self._sum_flat(flat)
            except (dist.DistError, RuntimeError) as error:
                raise self._lost(error) from error
            parts = flat.split([tensor.numel() for tensor in bucket])
            foreach_copy_(bucket, [part.view_as(tensor) for part, tensor in zip(parts, bucket, strict=True)])

    def _sum_flat(self, flat: Tensor) -> None:
        if self.shared is None or flat.dtype != torch.float32:
            dist.all_reduce(flat)
        else:
            self.shared.sum_(flat)

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the values of the first one.

        Raises:
            RankLostError: When a process does not answer.
        """
        if self.world == 1:
            return
        try:
            for tensor in tensors:
                # Groups know tensors of the run's device only, and without gaps.
                whole = tensor.detach().to(self.device).contiguous()
                dist.broadcast(whole, 0)
                tensor.detach().copy_(whole)
        except (dist.DistError, RuntimeError) as error:
            raise self._lost(error) from error

    def gather(self, value: float) -> list[float]:
        """What each process gave, in order.

        Raises:
            RankLostError: When a process does not answer.
        """
        values = torch.zeros(self.world, device=self.device)
        values[self.rank] = value
        self.sum([values])
        return values.tolist()

    def gather_objects(self, value: Kind) -> list[Kind]:
        """What each process gave, in order: anything that can be pickled.

        Raises:
            RankLostError: When a process does not answer.
        """
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        try:
            dist.all_gather_object(found, value)
        except (dist.DistError, RuntimeError) as error:
            raise self._lost(error) from error
        return found

    def _lost(self, error: Exception) -> RankLostError:
        return RankLostError(
            f"process {self.rank} of {self.world} lost another one ({_cause(error)}); "
            "give the same command again to go on from the last save"
        )

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.world > 1 and self.owned and dist.is_initialized():
            end_group()


_LETTING_GO = 0.05
"""Seconds in which gloo's threads let go of what they summed last."""


def end_group() -> None:
    """Destroy the process group.

    PyTorch 2.6 may wait for ever: the group's destructor keeps Python's lock while it waits for gloo's threads, one of
    which may want the lock to let go of its last tensor. So they get it before.
    """
    try:
        time.sleep(_LETTING_GO)
    finally:
        dist.destroy_process_group()


def _cause(error: Exception) -> str:
    """The first line of what PyTorch says, without the place in its source."""
    return re.sub(r"^\[[^]]*:\d+\] *", "", (str(error).splitlines() or [type(error).__name__])[0])


def _timeout_of_environment() -> float | None:
    """Seconds, where the user has set any."""
    text = os.environ.get(TIMEOUT)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"{TIMEOUT} must be a number of seconds, at least 1, not {text!r}")
    return seconds


def _join(backend: str, *, timeout: timedelta) -> None:
    """Find the other processes."""
    try:
        dist.init_process_group(backend, timeout=timeout)
    except (dist.DistError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
        raise RankLostError(
            f"process {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']} did not find the others at {where} "
            f"within {timeout.total_seconds():g} s ({_cause(error)}); start all of them again"
        ) from error


def place(local_rank: int, processes: int, cards: int) -> int:
    """The card of one of a machine's processes, which share the cards as evenly as can be.

    Raises:
        ValueError: When there is no card.
    """
    if cards < 1:
        raise ValueError("device cuda: PyTorch finds no CUDA device; choose another, or cpu")
    return local_rank * cards // processes if processes > cards else local_rank


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Tensors of one type in groups of about `BUCKET` elements."""
    buckets: list[list[Tensor]] = []
    room = 0
    for tensor in tensors:
        if room < tensor.numel() or buckets[-1][0].dtype != tensor.dtype:
            buckets.append([])
            room = BUCKET
        buckets[-1].append(tensor)
        room -= tensor.numel()
    return buckets
