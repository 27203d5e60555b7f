"""Limits on the networks that are trained on, each at its very border."""

import math
from dataclasses import replace

import pytest

from ghn.deepnets import DeepNets, Space, graph_from_arguments
from ghn.deepnets.cost import megamacs
from ghn.deepnets.plan import plan_network
from tests.deepnets.architectures import cells

DEEPNETS = DeepNets("train")
NETWORK = cells(("conv_3x3", 1), ("skip_connect", 0), n_cells=5, C=48)


def test_without_limits_everything_is_accepted() -> None:
    wide = replace(NETWORK, C=2**10, n_cells=40)
    assert Space().accepts(wide, DEEPNETS)
    assert Space().accepts_graph(graph_from_arguments(wide))


@pytest.mark.parametrize(
    ("space", "accepted"),
    [
        (Space(channels=(48,)), True),
        (Space(channels=(32, 64)), False),
        (Space(max_cells=5), True),
        (Space(max_cells=4), False),
        (Space(channels=(48,), max_cells=4), False),
    ],
)
def test_widths_and_cells(space: Space, accepted: bool) -> None:
    assert space.accepts(NETWORK, DEEPNETS) is accepted


@pytest.mark.parametrize(("image_size", "num_classes"), [(32, 10), (28, 10), (32, 1000)])
def test_multiply_adds_are_those_on_the_data_set(image_size: int, num_classes: int) -> None:
    deepnets = DeepNets("train", image_size=image_size, num_classes=num_classes)
    cost = megamacs(plan_network(NETWORK, num_classes, image_size))
    assert Space(max_megamacs=cost).accepts(NETWORK, deepnets)
    assert not Space(max_megamacs=math.nextafter(cost, 0)).accepts(NETWORK, deepnets)


def test_nodes_and_parameters() -> None:
    """Only parameters that are predicted count: those of unused operations do not."""
    graph = graph_from_arguments(NETWORK)
    parameters = sum(math.prod(spec.shape) for spec in graph.parameters.values())
    for space, accepted in (
        (Space(max_nodes=len(graph), max_parameters=parameters), True),
        (Space(max_nodes=len(graph) - 1), False),
        (Space(max_parameters=parameters - 1), False),
    ):
        assert space.accepts_graph(graph) is accepted
    unused = cells(("conv_3x3", 1), ("skip_connect", 0), ("conv_7x7", 1), ("none", 0), n_cells=5, C=48, concat=(2,))
    assert graph_from_arguments(unused).kept
    assert Space(max_parameters=parameters).accepts_graph(graph_from_arguments(unused))
