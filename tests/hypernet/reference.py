"""Reference results as graphs, without tracing any model."""

import gzip
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.hypernet import GHN, GHNConfig

POOLING_SHAPE = (1, 1, 3, 3)
"""The files do not hold pooling kernels; this one is right for the models used here (2×2 takes the row of 3×3)."""

ROLES = {"bias": Role.BIAS, "pos_enc": Role.POSITION}


@cache
def golden(folder: Path, name: str) -> dict[str, Any]:
    with gzip.open(folder / "golden" / f"{name}.json.gz") as stream:
        return json.load(stream)


def published_state(folder: Path, shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """The weights that the reference results were made with."""
    spec = importlib.util.spec_from_file_location("published_state", folder / "golden" / "published_state.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {key: torch.from_numpy(value) for key, value in module.published_state(shapes).items()}


@cache
def hypernet(folder: Path, name: str, preset: str, num_classes: int = 1000) -> GHN:
    """A hypernetwork with those weights; a key that is missing or too many is an error."""
    with torch.device("meta"):
        network = GHN(GHNConfig.preset(preset, num_classes=num_classes))
    state = published_state(folder, golden(folder, name)["state_dict_shapes"])
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def golden_graph(entry: dict[str, Any], num_classes: int = 1000) -> ComputationalGraph:
    """The graph of a model on record.

    Args:
        entry: `nodes`, `edges` and `params` of the model.
        num_classes: C; the last weight and bias with so many output channels are the head.
    """
    nodes: list[Node] = []
    specs: dict[str, dict[str, Any]] = {}
    head: dict[Role, str] = {}
    for op, name in entry["nodes"]:
        names = _parameters_of(op, name, entry["params"])
        for position, parameter in enumerate(names):
            role = ROLES.get(op, Role.WEIGHT)
            if op in ("bn", "ln"):
                role = (Role.NORM_WEIGHT, Role.NORM_BIAS)[position]
            size = tuple(entry["params"][parameter]["shape"])
            specs[parameter] = {"name": parameter, "node": len(nodes), "shape": size, "role": role}
            if size[0] == num_classes and role in (Role.WEIGHT, Role.BIAS):
                head[role] = parameter
        shape: tuple[int, ...] | None
        shape = POOLING_SHAPE if op.endswith("_pool") else tuple(entry["params"][name]["shape"]) if names else None
        nodes.append(Node(op, names, shape))
    for parameter in head.values():
        specs[parameter]["head"] = True
    parameters = {name: ParameterSpec(**values) for name, values in specs.items()}
    return ComputationalGraph(tuple(nodes), np.array(entry["edges"]), parameters)


def _parameters_of(op: str, name: str, params: dict[str, Any]) -> tuple[str, ...]:
    if op not in ("conv", "sep_conv", "dil_conv", "bias", "bn", "ln", "pos_enc"):
        return ()
    bias = name.removesuffix("weight") + "bias"
    return (name, bias) if op in ("bn", "ln") and bias in params else (name,)
