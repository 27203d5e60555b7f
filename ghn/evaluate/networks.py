"""The networks of an evaluation: splits of DeepNets-1M, predefined networks, and models by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import nn

from ghn.common.optional import require
from ghn.deepnets import Architecture, DeepNets, network_from_arguments, open_split
from ghn.deepnets.predefined import VIT, Predefined, resnet50
from ghn.evaluate.config import EvaluationConfig
from ghn.evaluate.results import Kind
from ghn.graph import ComputationalGraph
from ghn.graph.trace import TraceError, trace
from ghn.zoo import ModelRequest, build_model


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A network to evaluate, from every start.

    Attributes:
        kind: Where it is from.
        split: Split, or name.
        index: Number in the split.
        number: Number in the evaluation, which governs images and whatever is drawn.
        image_size: Side in pixels of its images.
        make: Makes it with its own initialisation and, where it has batch norms, with running statistics.
        architecture: Its structure without storage, and its graph, where these are had without tracing.
    """

    kind: Kind
    split: str
    index: int
    number: int
    image_size: int
    make: Callable[[], nn.Module]
    architecture: Callable[[], Architecture] | None = field(default=None)

    def build(self, seed: int) -> nn.Module:
        """The network with its own initialisation; the process's random state is not touched."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.make()

    @cached_property
    def bare(self) -> nn.Module:
        """The network on the meta device."""
        assert self._found is not None
        return self._found.network

    @cached_property
    def _found(self) -> Architecture | None:
        return None if self.architecture is None else self.architecture()

    @cached_property
    def graph(self) -> ComputationalGraph | None:
        """Its graph; None where it cannot be traced."""
        if self._found is not None:
            return self._found.graph
        try:
            return trace(self.build(0), torch.zeros(2, 3, self.image_size, self.image_size))
        except TraceError:
            return None

    def forget(self) -> None:
        """Let go of network and graph, which are made anew where they are asked for again."""
        for kept in ("bare", "graph", "_found"):
            self.__dict__.pop(kept, None)


def candidates(config: EvaluationConfig, image_size: int, classes: int) -> list[Candidate]:
    """All networks of an evaluation, in its order.

    Args:
        config: Which.
        image_size: Side in pixels of the images.
        classes: Their number.

    Raises:
        ValueError: In one line, if there is no such network, or a library is missing.
    """
    found: list[Candidate] = []

    def add(
        kind: Kind,
        split: str,
        index: int,
        make: Callable[[], nn.Module],
        architecture: Callable[[], Architecture] | None,
    ) -> None:
        found.append(
            Candidate(
                kind=kind,
                split=split,
                index=index,
                number=len(found),
                image_size=image_size,
                make=make,
                architecture=architecture,
            )
        )

    for split, count in config.splits.items():
        deepnets = open_split(split, image_size, classes, metadata=config.metadata)
        if count > len(deepnets):
            raise ValueError(f"{config.metadata} has {len(deepnets)} networks of {split}, not {count}; ask for fewer")
        for index in range(count):
            add("split", split, index, partial(_of_split, deepnets, index), partial(deepnets.__getitem__, index))
    if config.predefined:
        require("torchvision", "vision", "ResNet-50 (--no-predefined goes without)")
        predefined = Predefined(image_size, classes)
        for index, name in enumerate(Predefined.names):
            make = partial(_predefined, name, image_size, classes)
            add("predefined", name, 0, make, partial(predefined.__getitem__, index))
    for name in config.models:
        request = ModelRequest(name=name, num_classes=classes, image_size=image_size, lenient=True)
        # Whether there is such a model is not found out after hours.
        with torch.random.fork_rng(devices=[]):
            build_model(replace(request, meta=True))
        add("model", name, 0, partial(_named, request), None)
    return found


def _of_split(deepnets: DeepNets, index: int) -> nn.Module:
    return network_from_arguments(
        deepnets.arguments(index), deepnets.num_classes, deepnets.image_size, running_statistics=True
    )


def _predefined(name: str, image_size: int, classes: int) -> nn.Module:
    return network_from_arguments(VIT, classes, image_size) if name == "vit" else resnet50(classes, image_size)


def _named(request: ModelRequest) -> nn.Module:
    # A file may hold the model itself, and give it again for the next start.
    return copy.deepcopy(build_model(request).model)
