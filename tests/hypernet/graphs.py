"""Graphs to test with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.vocabulary import PRIMITIVES

CLASSES = 10

AWKWARD: dict[str, dict[str, Any]] = {
    "linear": {"shape": (20, 30)},
    "linear smaller than the decoder": {"shape": (3, 5)},
    "linear of one channel": {"shape": (1, 1)},
    "linear with one input": {"shape": (7, 1)},
    "more channels than any table": {"shape": (9001, 2)},
    "convolution": {"shape": (19, 6, 3, 3)},
    "even kernel": {"shape": (8, 9, 2, 4)},
    "wider than high": {"shape": (6, 6, 1, 7)},
    "higher than wide": {"shape": (6, 6, 7, 1)},
    "depthwise": {"shape": (24, 1, 5, 5)},
    "kernel as large as the decoder": {"shape": (4, 3, 11, 11)},
    "kernel larger than the decoder": {"shape": (9, 3, 16, 16)},
    "kernel larger on one side": {"shape": (5, 9, 3, 14)},
    "1-D kernel": {"shape": (12, 4, 9)},
    "3-D kernel": {"shape": (10, 4, 2, 3, 5)},
    "transposed": {"shape": (6, 21, 3, 2), "axes": (1, 0, 2, 3)},
    "linear stored as (in, out)": {"shape": (30, 11), "axes": (1, 0)},
    "experts": {"shape": (3, 4, 5), "stack": 1},
    "heads of experts": {"shape": (2, 3, 10, 9), "stack": 2},
    "experts stored as (in, out)": {"shape": (3, 12, 5), "axes": (0, 2, 1), "stack": 1},
    "transposed 3-D kernel": {"shape": (4, 10, 2, 3, 3), "axes": (1, 0, 2, 3, 4)},
    "stack last": {"shape": (4, 5, 3), "axes": (2, 0, 1), "stack": 1},
    "weight per channel": {"shape": (13,)},
    "one number": {"shape": ()},
    "norm weight": {"shape": (37,), "role": Role.NORM_WEIGHT},
    "norm bias": {"shape": (37,), "role": Role.NORM_BIAS},
    "norm over an image": {"shape": (3, 5, 5), "role": Role.NORM_WEIGHT},
    "norm of one number": {"shape": (), "role": Role.NORM_WEIGHT},
    "bias": {"shape": (5,), "role": Role.BIAS},
    "bias of many": {"shape": (9001,), "role": Role.BIAS},
    "bias per head": {"shape": (4, 7), "role": Role.BIAS, "axes": (1, 0)},
    "bias of heads, split": {"shape": (2, 1, 7), "role": Role.BIAS, "view": (2, 7), "axes": (1, 0)},
    "grouped transposed convolution": {
        "shape": (6, 20, 3, 3),
        "view": (2, 3, 20, 3, 3),
        "axes": (0, 2, 1, 3, 4),
        "stack": 1,
    },
    "mixed kernels, flattened": {"shape": (3, 12 * 5 * 9), "view": (3, 12, 5, 3, 3), "stack": 1},
    "output weights of heads": {"shape": (4, 6, 31), "view": (24, 31), "axes": (1, 0)},
    "bilinear form": {"shape": (31, 3, 5), "view": (31, 15)},
    "positions, batch second": {"shape": (16, 1, 9), "role": Role.POSITION, "view": (16, 9)},
    "grid of positions": {"shape": (1, 49, 24), "role": Role.POSITION},
    "grid and class token": {"shape": (1, 50, 24), "role": Role.POSITION},
    "grid and four tokens": {"shape": (53, 7), "role": Role.POSITION},
    "positions in a line": {"shape": (30, 7), "role": Role.POSITION},
    "more positions than the decoder": {"shape": (1, 196, 10), "role": Role.POSITION},
    "positions stored as (channels, positions)": {"shape": (7, 26), "role": Role.POSITION, "axes": (1, 0)},
    "image of positions": {"shape": (1, 20, 8, 6), "role": Role.POSITION},
    "image of positions without batch": {"shape": (20, 8, 13), "role": Role.POSITION},
    "head weight": {"shape": (CLASSES, 21), "head": True},
    "head convolution": {"shape": (CLASSES, 5, 1, 1), "head": True},
    "head bias": {"shape": (CLASSES,), "role": Role.BIAS, "head": True},
    "head with other classes": {"shape": (CLASSES + 1, 21), "head": True},
    "head bias with other classes": {"shape": (CLASSES + 1,), "role": Role.BIAS, "head": True},
}
"""Parameters of every kind and awkward size, for a decoder of 8 channels and side 11."""

OPS = {Role.BIAS: "bias", Role.NORM_WEIGHT: "bn", Role.NORM_BIAS: "ln", Role.POSITION: "pos_enc", Role.WEIGHT: "conv"}


def awkward_graph(names: Sequence[str] = tuple(AWKWARD)) -> ComputationalGraph:
    """A chain with some short cuts, one node for each of the parameters `names`."""
    nodes = [Node("input")]
    parameters = {}
    for name in names:
        spec = ParameterSpec(**{"name": name, "node": len(nodes), "role": Role.WEIGHT, **AWKWARD[name]})
        parameters[name] = spec
        nodes.append(Node(OPS[spec.role], (name,), spec.canonical_shape or (1,)))
    edges = [(i, i + 1) for i in range(len(nodes) - 1)] + [(i, i + 3) for i in range(0, len(nodes) - 3, 5)]
    return ComputationalGraph(tuple(nodes), np.array(edges, dtype=np.int64).reshape(-1, 2), parameters)


def random_graph(seed: int, size: int, density: float = 0.1) -> ComputationalGraph:
    """A random connected DAG without parameters."""
    generator = np.random.default_rng(seed)
    ops = generator.choice([op for op in PRIMITIVES if op != "input"], size - 1)
    shapes = [None if generator.random() < 0.3 else tuple(generator.integers(1, 300, 4).tolist()) for _ in ops]
    nodes = (Node("input"), *(Node(str(op), (), shape) for op, shape in zip(ops, shapes, strict=True)))
    edges = [(int(generator.integers(0, node)), node) for node in range(1, size)]
    pairs = np.argwhere(np.triu(generator.random((size, size)) < density, 1))
    return ComputationalGraph(nodes, np.concatenate([np.array(edges, dtype=np.int64).reshape(-1, 2), pairs]))
