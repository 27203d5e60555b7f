import dataclasses
import pickle
from typing import Any

import pytest
import torch

from ghn.deepnets import SPLITS, DeepNets, MetaBatch, MetaBatches, NetworkArguments
from ghn.deepnets.network import network_from_arguments


@pytest.mark.parametrize("image_size", [32, 224])
@pytest.mark.parametrize("split", SPLITS)
def test_items(split: str, image_size: int) -> None:
    deepnets = DeepNets(split, image_size, 7)
    assert len(deepnets) == SPLITS[split].size
    network, graph, net_args = deepnets[3]
    named = dict(network.named_parameters())
    assert all(parameter.is_meta for parameter in named.values())
    assert set(graph.parameters) | set(graph.kept) == set(named)
    assert all(graph.parameters[name].shape == named[name].shape for name in graph.parameters)
    rebuilt = network_from_arguments(net_args, 7, image_size)
    assert {name: parameter.shape for name, parameter in rebuilt.named_parameters()} == {
        name: parameter.shape for name, parameter in named.items()
    }
    assert rebuilt(torch.randn(2, 3, image_size, image_size)).shape == (2, 7)


def test_widths_are_a_function_of_seed_index_and_draw() -> None:
    deepnets = DeepNets("train")
    found = [deepnets.arguments(index) for index in range(40)]
    assert found == [DeepNets("train").arguments(index) for index in range(40)]
    assert len({arguments.C for arguments in found}) > 3
    again = [deepnets.arguments(index, draw=1) for index in range(40)]
    assert [item.genotype for item in again] == [item.genotype for item in found]
    assert [item.C for item in again] != [item.C for item in found]


def test_numbers() -> None:
    deepnets = DeepNets("test", size=5)
    assert len(deepnets) == len(list(deepnets)) == 5
    assert deepnets[-1].net_args == deepnets[4].net_args
    for index in (5, -6):
        with pytest.raises(IndexError, match="has 5 architectures, there is none of number"):
            deepnets[index]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tests"}, "unknown split 'tests'"),
        ({"split": "test", "size": 501}, "size must be between 1 and 500 for test, not 501"),
        ({"split": "test", "size": 0}, "size must be between 1 and 500"),
    ],
)
def test_impossible_data_sets(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepNets(**arguments)


def content(batch: MetaBatch) -> tuple[int, int, tuple[int, ...], tuple[NetworkArguments, ...], list[int]]:
    return batch.step, batch.rejected, batch.indices, batch.arguments, [len(graph) for graph in batch.graphs]


def test_meta_batches_are_a_function_of_seed_and_step() -> None:
    batches = MetaBatches(DeepNets("train"), 4)
    forwards = [content(batches[step]) for step in range(6)]
    again = MetaBatches(DeepNets("train"), 4)
    assert [content(again[step]) for step in reversed(range(6))] == forwards[::-1]
    assert content(MetaBatches(DeepNets("train"), 4, seed=1)[0]) != forwards[0]
    assert len({index for batch in forwards for index in batch[2]}) == 24


def test_widths_are_new_each_time() -> None:
    batches = MetaBatches(DeepNets("train", size=4), 4, max_nodes_per_network=1e9)
    channels = {tuple(item.C for _, item in sorted(zip(b.indices, b.arguments, strict=True))) for b in take(batches, 8)}
    assert len(channels) > 2


def take(batches: MetaBatches, count: int) -> list[MetaBatch]:
    return [batches[step] for step in range(count)]


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_the_same_meta_batches(ranks: int) -> None:
    deepnets = DeepNets("train")
    # So few nodes are allowed that some meta-batches are drawn again.
    whole = MetaBatches(deepnets, 4, max_nodes_per_network=150)
    parts = [MetaBatches(deepnets, 4, max_nodes_per_network=150, rank=rank, world_size=ranks) for rank in range(ranks)]
    rejected = 0
    for step in range(5):
        batch, shares = whole[step], [part[step] for part in parts]
        assert batch.indices == tuple(index for share in shares for index in share.indices)
        assert batch.arguments == tuple(item for share in shares for item in share.arguments)
        assert [len(g) for g in batch.graphs] == [len(g) for share in shares for g in share.graphs]
        assert {share.rejected for share in shares} == {batch.rejected}
        assert all(len(share) == 4 // ranks for share in shares)
        rejected += batch.rejected
    assert rejected


def test_size_of_meta_batches() -> None:
    deepnets = DeepNets("train")
    for meta_batch, most in ((8, 2200), (2, 550)):
        sizes = [sum(map(len, batch.graphs)) for batch in take(MetaBatches(deepnets, meta_batch), 12)]
        assert max(sizes) <= most
    # Rejected ones are those that are too large, and come before.
    batches = MetaBatches(deepnets, 2, max_nodes_per_network=120)
    loose = MetaBatches(deepnets, 2, max_nodes_per_network=1e9)
    for batch, first in zip(take(batches, 8), take(loose, 8), strict=True):
        too_large = sum(map(len, first.graphs)) > 240
        assert too_large == bool(batch.rejected)
        assert too_large == (batch.indices != first.indices)


def test_no_architecture_twice() -> None:
    batches = MetaBatches(DeepNets("train", size=5), 5, max_nodes_per_network=1e9)
    for batch in take(batches, 4):
        assert sorted(batch.indices) == list(range(5))


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_resumes_anywhere(workers: int) -> None:
    batches = MetaBatches(DeepNets("train"), 2)
    loaded = list(batches.loader(range(3, 9), workers=workers))
    assert [content(batch) for batch in loaded] == [content(batches[step]) for step in range(3, 9)]
    for batch in loaded:
        assert all("distances" in vars(graph) for graph in batch.graphs)
        for network, graph in zip(batches.networks(batch), batch.graphs, strict=True):
            assert set(graph.parameters) <= set(dict(network.named_parameters()))


def test_graphs_survive_the_journey() -> None:
    graph = DeepNets("test")[0].graph
    _ = graph.distances
    sent = pickle.loads(pickle.dumps(graph))
    assert (sent.nodes, sent.parameters, sent.kept, sent.traced_by) == (
        graph.nodes,
        graph.parameters,
        graph.kept,
        graph.traced_by,
    )
    assert (sent.distances == graph.distances).all()
    for array in (sent.edges, sent.distances):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        sent.kept["stem"] = "changed"


def test_own_rules() -> None:
    rules = dataclasses.replace(SPLITS["train"], cells=(4, 4), widest=32)
    batch = MetaBatches(DeepNets(rules), 4)[0]
    assert {(item.n_cells, item.C) for item in batch.arguments} == {(4, 32)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"meta_batch": 0}, "meta_batch must be between 1 and 5, not 0"),
        ({"meta_batch": 6}, "meta_batch must be between 1 and 5, not 6"),
        ({"meta_batch": 4, "world_size": 3}, "4 architectures cannot be shared equally by 3 ranks"),
        ({"meta_batch": 4, "world_size": 2, "rank": 2}, "rank must be between 0 and 1, not 2"),
    ],
)
def test_impossible_meta_batches(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MetaBatches(DeepNets("test", size=5), **arguments)
