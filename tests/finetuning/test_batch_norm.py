"""Batch norms over several processes are those of one process that has the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.finetuning.batch_norm import SynchronisedBatchNorm
from tests.processes import finish, group

BATCH = 7


class Network(nn.Module):
    """Batch norms as modules, as an operator with and without parameters, and with a cumulative average."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.second, self.last = nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.first(images)).relu()
        features = functional.batch_norm(features, None, None, training=True)
        features = torch.batch_norm(features, None, None, None, None, True, 0.1, 1e-5, False)
        return self.last(self.second(features.square().mean((2, 3))))


def images() -> Tensor:
    # Far from zero: a variance in one pass would be rounded away.
    return 100 + torch.randn(BATCH, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def two_steps(network: Network, part: Tensor) -> dict[str, Tensor]:
    """Losses summed over a part of the batch, twice; the gradients add up."""
    for _ in range(2):
        network(images()[part]).square().sum().backward()
    gradients = {f"grad {name}": value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {**gradients, **network.state_dict()}


PROGRAM = """
import sys
import torch
import torch.distributed as dist
from ghn.common.parallel.processes import share
from ghn.finetuning.batch_norm import SynchronisedBatchNorm
from tests.finetuning.test_batch_norm import BATCH, Network, two_steps

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
with SynchronisedBatchNorm():
    found = two_steps(Network(), torch.tensor(list(share(BATCH, rank, world))))
for name, value in found.items():
    if name.startswith("grad"):
        dist.all_reduce(value)
if rank == world - 1:
    torch.save(found, sys.argv[1])
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_processes_compute_what_one_computes(world: int, tmp_path: Path) -> None:
    finish(group(PROGRAM, str(tmp_path / "found.pt"), world=world))
    found, wanted = torch.load(tmp_path / "found.pt"), two_steps(Network(), torch.arange(BATCH))
    assert found.keys() == wanted.keys()
    assert sum(name.startswith("grad") for name in found) == 8
    for name, value in wanted.items():
        if name in ("grad first.bias", "grad first.weight"):
            # Zero but for rounding: the norm after it takes the bias away.
            torch.testing.assert_close(found[name], value, rtol=1e-2, atol=2e-2, msg=name)
        else:
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4, msg=name)


def test_evaluation_stays_local() -> None:
    network = Network().norm.eval()
    inputs = torch.randn(2, 4, 3, 3)
    with SynchronisedBatchNorm():
        # No group is there, so that a sum over processes would fail.
        torch.testing.assert_close(network(inputs), inputs / (1 + 1e-5) ** 0.5)
