"""A graph whose names need escaping."""

import numpy as np

from ghn.graph import ComputationalGraph, Node, ParameterSpec, Role

AWKWARD = 'a<b>&"c"\'\\.layer'


def awkward_graph() -> ComputationalGraph:
    """An input, a convolution with such a name, a norm of two parameters, a pooling that two nodes feed."""
    parameters = {
        f"{AWKWARD}.weight": ParameterSpec(
            name=f"{AWKWARD}.weight", node=1, shape=(8, 3, 5, 5), role=Role.WEIGHT, head=True
        ),
        "norm.weight": ParameterSpec(name="norm.weight", node=2, shape=(8,), role=Role.NORM_WEIGHT),
        "norm.bias": ParameterSpec(name="norm.bias", node=2, shape=(8,), role=Role.NORM_BIAS),
    }
    nodes = (
        Node("input"),
        Node("conv", (f"{AWKWARD}.weight",), (8, 3, 5, 5)),
        Node("bn", ("norm.weight", "norm.bias"), (8,)),
        Node("max_pool", (), (1, 1, 3, 2)),
    )
    return ComputationalGraph(nodes, np.array([(0, 1), (1, 2), (1, 3), (2, 3)]), parameters)
