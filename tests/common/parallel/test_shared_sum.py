"""Sums through memory that processes share: exact, in the order of the ranks, and the same bits everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.processes import finish, group

PROGRAM = """
import json, sys
from pathlib import Path
import torch, torch.distributed as dist
from ghn.common.parallel import shared_sum
from ghn.training.ranks import Ranks

folder, unable, device = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with Ranks.from_environment(device, timeout=60) as ranks:
    if ranks.rank == unable:
        def refuse(*given):
            raise RuntimeError("no shared memory")
        shared_sum._accept = refuse
    shared = shared_sum.SharedSum(ranks.device)
    generator = torch.Generator().manual_seed(ranks.rank)
    given, found = [], []
    # Longer ones after shorter ones: the buffer grows; one of no numbers at all; many in a row: the buffers take turns.
    for count in (3, 0, 1000, 7, *[100] * 50):
        numbers = torch.randn(count, generator=generator).to(ranks.device)
        given.append(numbers.tolist())
        shared.sum_(numbers)
        found.append(numbers.tolist())
    (folder / f"{ranks.rank}.json").write_text(json.dumps([given, found, shared.maps]))
"""


def run(folder: Path, processes: int, *, unable: int = -1, device: str = "cpu") -> list[list[list[list[float]]]]:
    finish(group(PROGRAM, str(folder), str(unable), device, world=processes))
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.parametrize(
    ("processes", "device"),
    [pytest.param(2, "cpu", marks=pytest.mark.slow), (3, "cpu"), pytest.param(3, "cuda", marks=pytest.mark.gpu)],
)
def test_every_process_gets_the_sum_in_the_order_of_the_ranks(tmp_path: Path, processes: int, device: str) -> None:
    if device == "cuda" and torch.cuda.device_count() != 1:
        pytest.skip("needs one CUDA device")
    before = set(Path("/dev/shm").glob("ghn-sum-*"))
    results = run(tmp_path, processes, device=device)
    assert set(Path("/dev/shm").glob("ghn-sum-*")) == before, "a file is left"
    assert all(maps for _, _, maps in results)
    for number, ours in enumerate(results[0][1]):
        rows = [torch.tensor(given[number]) for given, _, _ in results]
        expected = rows[0].clone()
        for row in rows[1:]:
            expected += row
        assert torch.equal(torch.tensor(ours), expected)
        assert all(found[number] == ours for _, found, _ in results)


@pytest.mark.slow
def test_where_one_process_cannot_map_all_sum_otherwise(tmp_path: Path) -> None:
    results = run(tmp_path, 2, unable=1)
    assert not any(maps for _, _, maps in results)
    (given0, found0, _), (given1, found1, _) = results
    for a, b, sum0, sum1 in zip(given0, given1, found0, found1, strict=True):
        torch.testing.assert_close(torch.tensor(sum0), torch.tensor(a) + torch.tensor(b))
        assert sum0 == sum1
