"""Grouping of parameters."""

import itertools
import pickle

import pytest

from ghn.hypernet import GHNConfig
from ghn.hypernet.plan import KernelMember, Plan, VectorMember
from tests.hypernet.graphs import AWKWARD, CLASSES, awkward_graph, random_graph

CONFIG = GHNConfig(hidden=16, heads=2, num_classes=CLASSES, max_channels=8, spatial=11)


def test_every_parameter_is_in_one_group_or_kept() -> None:
    graphs = [awkward_graph(), random_graph(0, 4), awkward_graph()]
    plan = Plan.of([graph.parameters for graph in graphs], [len(graph) for graph in graphs], CONFIG)
    members: list[KernelMember | VectorMember] = [*itertools.chain(*(group.members for group in plan.kernels))]
    members += [*itertools.chain(*(group.members for group in plan.vectors))]
    found = [(member.graph, member.fit.spec.name) for member in members]
    found += [(graph, name) for graph, kept in enumerate(plan.kept) for name in kept]
    assert sorted(found) == sorted((graph, name) for graph in (0, 2) for name in AWKWARD)
    start = len(graphs[0]) + len(graphs[1])
    assert all(member.row == member.fit.spec.node + (start if member.graph else 0) for member in members)


def test_groups_need_the_same_crop() -> None:
    graph = awkward_graph()
    plan = Plan.of([graph.parameters], [len(graph)], CONFIG)
    for group in plan.kernels:
        assert {(member.fit.crop, member.fit.head) for member in group.members} == {(group.crop, group.head)}
        shapes = [fit.shape for fit, _ in group.runs()]
        assert len(set(shapes)) == len(shapes)


def test_chunks_are_the_group() -> None:
    graph = awkward_graph(["linear", "linear stored as (in, out)", "experts stored as (in, out)"])
    (group,) = [group for group in Plan.of([graph.parameters], [len(graph)], CONFIG).kernels if group.crop.inputs == 8]
    assert [len(chunk.members) for chunk in group.chunks(2 * group.crop.elements)] == [2, 1]
    assert group.chunks(3 * group.crop.elements) == [group]
    assert [len(chunk.members) for chunk in group.chunks(1)] == [1, 1, 1]
    assert tuple(member for chunk in group.chunks(1) for member in chunk.members) == group.members


def test_head_with_other_classes() -> None:
    graph = awkward_graph()
    kept = Plan.of([graph.parameters], [len(graph)], CONFIG).kept[0]
    assert list(kept) == ["head with other classes", "head bias with other classes"]
    assert kept["head with other classes"] == "classification head of 11 classes; the hypernetwork predicts 10"
    assert Plan.of([graph.parameters], [len(graph)], CONFIG, "predict").kept == ({},)
    with pytest.raises(ValueError, match="'keep' or 'predict', not 'drop'"):
        Plan.of([graph.parameters], [len(graph)], CONFIG, "drop")  # type: ignore[arg-type]


def test_goes_through_pickle() -> None:
    graph = awkward_graph()
    plan = Plan.of([graph.parameters], [len(graph)], CONFIG)
    assert pickle.loads(pickle.dumps(plan)) == plan
