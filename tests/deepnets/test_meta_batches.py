"""Meta-batches by number: within the limits, alike for any number of ranks and workers, and what they always were."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghn.common.parallel.processes import share
from ghn.deepnets import DeepNets, MetaBatch, MetaBatches, Space
from ghn.deepnets.cost import megamacs
from ghn.deepnets.plan import plan_network
from ghn.meta import RUNS
from ghn.meta.run import meta_batches
from tests.warm import Program

DEEPNETS = DeepNets("train")
SPACE = Space(max_megamacs=40.0, max_cells=9, max_nodes=120, max_parameters=500_000, channels=(32, 48), attention=0.5)


def batches(space: Space = SPACE, **options: Any) -> MetaBatches:
    return MetaBatches(DEEPNETS, **{"meta_batch": 4, "space": space, **options})


def take(source: MetaBatches, steps: Iterable[int]) -> list[MetaBatch]:
    return [source[step] for step in steps]


def content(batch: MetaBatch) -> tuple[object, ...]:
    return batch.step, batch.rejected, batch.indices, batch.arguments, [len(graph) for graph in batch.graphs]


def nodes(batch: MetaBatch) -> int:
    return sum(map(len, batch.graphs))


def digest(source: MetaBatches, steps: Iterable[int]) -> str:
    """Hash of what defines the networks of some meta-batches."""
    found = hashlib.sha256()
    for batch in take(source, steps):
        for index, arguments in zip(batch.indices, batch.arguments, strict=True):
            found.update(json.dumps([batch.step, index, arguments.to_dict()], sort_keys=True).encode())
    return found.hexdigest()


def test_a_resumed_run_meets_the_networks_it_would_have_met() -> None:
    """Recorded before `MetaBatches` was the only sampler; when these change, begun runs change course."""
    cpu, whole = RUNS["ghn3-t-cifar10-cpu"].config, RUNS["ghn3-t-cifar10"].config
    val = replace(cpu.space, split="val", batch_nodes=10**9)
    tight = Space(batch_nodes=1200, max_nodes=250, max_parameters=10**6, channels=(32, 48, 64))
    found = {
        "small networks": digest(meta_batches(cpu, cpu.space), (0, 1, 2, 2800)),
        "all networks": digest(meta_batches(whole, whole.space), range(4)),
        "for validation": digest(meta_batches(replace(cpu, meta_batch=16), val), (0,)),
        "every limit": digest(meta_batches(replace(whole, meta_batch=4, seed=7), tight), range(6)),
        "large images": digest(meta_batches(RUNS["ghn3-t-m8"].config, Space()), range(2)),
    }
    assert found == {
        "small networks": "cda2a62ece94f57b17a0e7b6460e2722589ebc5df1ae37abba52ec306988d372",
        "all networks": "bb0aa0344341ab6f27e66d2a4fd1b7c96edfed72126968c27457c7d824acfbd7",
        "for validation": "26064a71d45f64fda4293f1c7a9bdf4c06858e0d700f091981f4fe842e0a8445",
        "every limit": "c5eeaff5fadbb2292d59e2db8995096baa3701391df2035b2dd3343e8082d4a8",
        "large images": "99bf5f1f6f42ec4e3e5a82e5daf77fa109b03e2dbbaaeb48bca75029a99996c5",
    }


def test_meta_batches_are_a_function_of_seed_and_step() -> None:
    forwards = [content(batch) for batch in take(batches(), range(6))]
    assert [content(batch) for batch in take(batches(), reversed(range(6)))] == forwards[::-1]
    assert content(batches(seed=1)[0]) != forwards[0]
    assert len({index for batch in take(batches(), range(6)) for index in batch.indices}) == 24


def test_all_limits_hold() -> None:
    for batch in take(batches(), range(8)):
        for arguments, graph in zip(batch.arguments, batch.graphs, strict=True):
            assert arguments.n_cells <= 9
            assert arguments.C in (32, 48)
            assert megamacs(plan_network(arguments, 10, 32)) <= 40
            assert len(graph) <= 120
            assert sum(math.prod(spec.shape) for spec in graph.parameters.values()) <= 500_000


def test_share_of_attention_networks() -> None:
    def part(attention: float) -> float:
        drawn = [item for batch in take(batches(Space(attention=attention)), range(10)) for item in batch.arguments]
        return sum(item.is_vit for item in drawn) / len(drawn)

    assert part(0.0) == 0
    assert part(0.2) < part(1.0)


def test_widths_are_new_each_time() -> None:
    few = MetaBatches(DeepNets("train", size=4), 4, max_nodes_per_network=1e9)
    channels = {
        tuple(item.C for _, item in sorted(zip(batch.indices, batch.arguments, strict=True)))
        for batch in take(few, range(8))
    }
    assert len(channels) > 2


@pytest.mark.parametrize("ranks", [3, *(pytest.param(ranks, marks=pytest.mark.slow) for ranks in (2, 4))])
def test_ranks_share_the_meta_batches_of_a_single_process(ranks: int) -> None:
    # So few nodes are allowed that some meta-batches are drawn again.
    options = {"meta_batch": 4, "max_nodes_per_network": 150, "space": Space()}
    whole = MetaBatches(DEEPNETS, **options)  # type: ignore[arg-type]
    parts = [MetaBatches(DEEPNETS, rank=rank, world_size=ranks, **options) for rank in range(ranks)]  # type: ignore[arg-type]
    rejected = 0
    for step in range(5):
        batch, shares = whole[step], [part[step] for part in parts]
        assert batch.indices == tuple(index for part in shares for index in part.indices)
        assert batch.arguments == tuple(item for part in shares for item in part.arguments)
        assert [len(g) for g in batch.graphs] == [len(g) for part in shares for g in part.graphs]
        assert {part.rejected for part in shares} == {batch.rejected}
        assert {len(part) for part in shares} <= {4 // ranks, -(-4 // ranks)}
        rejected += batch.rejected
    assert rejected


@pytest.mark.parametrize(("world", "count"), [(1, 1), (2, 2), (2, 3), (3, 8), (4, 5)])
def test_shares_are_even_and_complete(world: int, count: int) -> None:
    shares = [share(count, rank, world) for rank in range(world)]
    assert [slot for part in shares for slot in part] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_size_of_meta_batches() -> None:
    for meta_batch, most in ((8, 2200), (2, 550)):
        assert max(map(nodes, take(MetaBatches(DEEPNETS, meta_batch), range(12)))) <= most
    # Rejected ones are those that are too large, and come before; the space may say the same.
    tight = MetaBatches(DEEPNETS, 2, max_nodes_per_network=120)
    same = MetaBatches(DEEPNETS, 2, space=Space(batch_nodes=960))
    loose = MetaBatches(DEEPNETS, 2, max_nodes_per_network=1e9)
    for step in range(8):
        batch, first = tight[step], loose[step]
        too_large = nodes(first) > 240
        assert too_large == bool(batch.rejected)
        assert too_large == (batch.indices != first.indices)
        assert content(same[step]) == content(batch)


def test_no_architecture_twice_unless_draws_are_independent() -> None:
    five = DeepNets("train", size=5)
    for batch in take(MetaBatches(five, 5, max_nodes_per_network=1e9), range(4)):
        assert sorted(batch.indices) == list(range(5))
    independent = take(MetaBatches(five, 6, max_nodes_per_network=1e9, distinct=False), range(4))
    assert all(len(set(batch.indices)) < 6 for batch in independent)


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_resumes_anywhere(workers: int) -> None:
    source = batches(meta_batch=2)
    loaded = list(source.loader(range(3, 9), workers=workers))
    assert [content(batch) for batch in loaded] == [content(source[step]) for step in range(3, 9)]
    for batch in loaded:
        assert all("distances" in vars(graph) for graph in batch.graphs)
        for network, graph in zip(source.networks(batch), batch.graphs, strict=True):
            assert set(graph.parameters) <= set(dict(network.named_parameters()))


PROGRAM = """
from ghn.deepnets import DeepNets, MetaBatches
# More than a pipe holds waits to be read.
loaded = iter(MetaBatches(DeepNets("train"), 8).loader(range(100), workers=1, prefetch=4))
next(loaded)
print(loaded._workers[0].pid, flush=True)
input()
"""


def runs(process: Path) -> bool:
    try:
        return "\nState:\tZ" not in (process / "status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
def test_workers_end_with_the_process_that_was_killed() -> None:
    with Program(PROGRAM) as process:
        worker = Path("/proc") / process.stdout.readline().strip()
        time.sleep(1)
        assert runs(worker)
        process.kill()
    deadline = time.monotonic() + 60
    while runs(worker):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_empty_space_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.deepnets.meta_batches.MAX_DRAWS", 40)
    with pytest.raises(ValueError, match=r"none of 40 drawn networks lies within .*; widen its limits"):
        batches(Space(max_cells=1))[0]
    with pytest.raises(ValueError, match="no meta-batch of at most 1 nodes was found; raise batch_nodes"):
        batches(Space(batch_nodes=2))[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"meta_batch": 0}, "meta_batch must be between 1 and 5, not 0"),
        ({"meta_batch": 6}, "meta_batch must be between 1 and 5, not 6"),
        ({"meta_batch": 2, "world_size": 3}, "2 networks cannot be shared by 3 processes; raise meta_batch"),
        ({"meta_batch": 4, "world_size": 2, "rank": 2}, "rank must be between 0 and 1, not 2"),
    ],
)
def test_impossible_meta_batches(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaBatches(DeepNets("test", size=5), **arguments)


def test_ranks_whose_networks_cannot_be_too_large_together_make_only_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    space = replace(SPACE, max_nodes=100)
    whole = content(batches(space, distinct=False)[3])
    made = []
    graph = DeepNets.graph

    def count(self: DeepNets, arguments: Any) -> Any:
        made.append(arguments)
        return graph(self, arguments)

    monkeypatch.setattr(DeepNets, "graph", count)
    parts = []
    for rank in range(4):
        made.clear()
        parts.append(batches(space, distinct=False, rank=rank, world_size=4)[3])
        alone = len(made)
        made.clear()
        batches(replace(space, batch_nodes=799), distinct=False, rank=rank, world_size=4)[3]
        # 8 networks of 100 nodes exceed 799, so all four of a step must be looked at.
        assert alone < len(made)
    assert tuple(index for part in parts for index in part.indices) == whole[2]
    assert tuple(item for part in parts for item in part.arguments) == whole[3]
