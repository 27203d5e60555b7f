"""Meta-batches by number: within the limits, the same for any number of ranks and workers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ghn.deepnets import DeepNets
from ghn.deepnets.plan import plan_network
from ghn.train.architectures import ArchitectureStream, Drawn
from ghn.train.config import Space
from ghn.train.cost import megamacs

DEEPNETS = DeepNets("train")
SPACE = Space(max_megamacs=40.0, max_cells=9, max_nodes=120, max_parameters=500_000, channels=(32, 48), attention=0.5)


def stream(space: Space = SPACE, **options: object) -> ArchitectureStream:
    return ArchitectureStream(DEEPNETS, space, **{"meta_batch": 4, "seed": 0, **options})  # type: ignore[arg-type]


def key(batch: list[Drawn]) -> list[tuple[int, object]]:
    return [(item.index, item.arguments) for item in batch]


def test_all_limits_hold() -> None:
    drawn = [item for step in range(8) for item in stream()[step]]
    for item in drawn:
        assert item.arguments.n_cells <= 9
        assert item.arguments.C in (32, 48)
        assert megamacs(plan_network(item.arguments, 10, 32)) <= 40
        assert len(item.graph) <= 120
        assert sum(math.prod(spec.shape) for spec in item.graph.parameters.values()) <= 500_000
    assert len({item.index for item in drawn}) > 25


def test_share_of_attention_networks() -> None:
    def share(attention: float) -> float:
        drawn = [item for step in range(10) for item in stream(Space(attention=attention))[step]]
        return sum(item.arguments.is_vit for item in drawn) / len(drawn)

    assert share(0.0) == 0
    assert share(0.2) < share(1.0)


@pytest.mark.parametrize("workers", [0, 2])
def test_any_position_can_be_resumed(workers: int) -> None:
    whole = stream()
    later = list(whole.from_step(2, 5, workers=workers))
    assert [key(batch) for batch in later] == [key(whole[step]) for step in (2, 3, 4)]
    assert key(whole[0]) != key(whole[1])
    assert key(whole[0]) != key(stream(seed=1)[0])


def test_ranks_share_the_meta_batch_of_a_single_process() -> None:
    whole = stream()[3]
    parts = [stream(slots=slots)[3] for slots in ((0,), (1, 2), (3,))]
    assert [entry for part in parts for entry in key(part)] == key(whole)


def test_meta_batches_with_too_many_nodes_are_drawn_again() -> None:
    space = Space(max_cells=6, max_megamacs=40.0)
    free = [sum(len(item.graph) for item in stream(space)[step]) for step in range(4)]
    small = replace(space, batch_nodes=2 * max(free) - 2)
    sizes = [sum(len(item.graph) for item in stream(small)[step]) for step in range(4)]
    assert max(sizes) < max(free)
    assert sum(size == before for size, before in zip(sizes, free, strict=True)) == 3


def test_an_empty_space_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.train.architectures.MAX_DRAWS", 40)
    with pytest.raises(ValueError, match=r"none of 40 drawn networks lies within .*; widen its limits"):
        stream(Space(max_cells=1))[0]
    with pytest.raises(ValueError, match="no meta-batch of at most 1 nodes was found; raise batch_nodes"):
        stream(Space(batch_nodes=2), meta_batch=4)[0]
