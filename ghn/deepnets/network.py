"""A network of DeepNets-1M as an ordinary module.

Only what reaches the output is computed; parameters that do not (those on the way to a `none`) exist but stay unused,
as in the published networks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ghn.deepnets.genotype import NetworkArguments
from ghn.deepnets.operations.convolutions import pointwise
from ghn.deepnets.operations.layers import BatchNorm2d, Conv2d, Linear, Norm
from ghn.deepnets.operations.pooling import FactorizedReduction
from ghn.deepnets.plan import CellPlan, InputPlan, NetworkPlan, plan_connected

POSITION_STD = 0.02
"""Standard deviation of a position embedding's initial values."""


class Cell(nn.Module):
    """Preprocess two inputs, add the results of two operations a node, concatenate the nodes of the output.

    Args:
        plan: What the cell holds, and which of it is used.
        norm: The network's normalisation.
    """

    def __init__(self, plan: CellPlan, norm: Norm) -> None:
        super().__init__()
        self.plan = plan
        self.preprocess0 = _preprocessing(plan.inputs[0], plan.channels, norm)
        self.preprocess1 = _preprocessing(plan.inputs[1], plan.channels, norm)
        self._ops = nn.ModuleDict(
            {
                str(index): edge.operation.module(plan.channels, edge.stride, norm)
                for index, edge in enumerate(plan.edges)
                if edge.operation.gives
            }
        )

    def forward(self, before: Tensor | None, last: Tensor | None) -> Tensor | None:
        """Apply the cell.

        Args:
            before: Output of the cell before the last, (images, channels, height, width), or None if it has none.
            last: Output of the last cell, likewise.

        Returns:
            The cell's output, or None if it does not influence that of the network.
        """
        if not self.plan.live:
            return None
        states = [
            self.preprocess0(before) if self.plan.inputs[0].live else None,
            self.preprocess1(last) if self.plan.inputs[1].live else None,
        ]
        for state in range(2, len(self.plan.edges) // 2 + 2):
            terms = [self._ops[str(index)](states[edge.source]) for index, edge in self.plan.operands(state)]
            states.append(sum(terms[1:], start=terms[0]) if terms else None)
        return _concatenate([states[state] for state in self.plan.concat])


class Network(nn.Module):
    """Stem, cells, pooling, classifier; made by `network_from_arguments`.

    Args:
        plan: Everything about the network.
        running_statistics: Whether batch normalisation keeps running statistics for evaluation.
    """

    def __init__(self, plan: NetworkPlan, *, running_statistics: bool = False) -> None:
        super().__init__()
        self.plan = plan
        # The convention by which models say what image size and how many classes they are made for.
        size = (3, plan.image_size, plan.image_size)
        self.default_cfg = {"input_size": size, "num_classes": plan.num_classes}
        norm = _normalisation(plan.arguments, running_statistics)
        if plan.arguments.is_vit:
            kernel, stride, padding = plan.patch
            self.stem0: nn.Module = Conv2d(3, plan.arguments.C, kernel, stride=stride, padding=padding)
            self.pos_enc = PositionEmbedding(plan.arguments.C, plan.grid)
        elif plan.arguments.stem_type == 0:
            self.stem = _simple_stem(plan, norm)
        else:
            self.stem0, self.stem1 = _deep_stem(plan, norm)
        self.cells = nn.ModuleList(Cell(cell, norm) for cell in plan.cells)
        self.classifier = _classifier(plan)

    def forward(self, images: Tensor) -> Tensor:
        """Classify (images, 3, height, width); returns (images, classes) logits, in float32 also under autocast."""
        before: Tensor | None
        before, last = self._stem(images)
        for cell in self.cells:
            before, last = last, cell(before, last)
        assert last is not None, "a network whose output does not depend on its input is refused when it is made"
        features = last.mean(dim=(2, 3)) if self.plan.arguments.glob_avg else last.flatten(1)
        device = features.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self.classifier(features.float())
        return self.classifier(features)

    def _stem(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.plan.arguments.is_vit:
            patches = self.pos_enc(self.stem0(images))
            return patches, patches
        if self.plan.arguments.stem_type == 0:
            stem = self.stem(images)
            return stem, stem
        first = self.stem0(images)
        return first, self.stem1(first) if self.plan.stem_live[1] else None


class PositionEmbedding(nn.Module):
    """Add a learned embedding (1, channels, side, side) to a feature map."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, channels, side, side))
        if not self.weight.is_meta:
            nn.init.trunc_normal_(self.weight, std=POSITION_STD)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


def network_from_arguments(
    net_args: Mapping[str, Any] | NetworkArguments,
    num_classes: int = 10,
    image_size: int = 32,
    *,
    running_statistics: bool = False,
) -> Network:
    """Build a network of DeepNets-1M.

    Args:
        net_args: Network arguments as in the published metadata, channels `C` included.
        num_classes: Outputs.
        image_size: Side of the images in pixels; from 128 on the stem is that for ImageNet, below that for 32×32.
        running_statistics: Whether batch normalisation keeps running statistics and uses them in evaluation mode.
            By default it always uses those of the batch, as GHNs are trained and evaluated, and has no buffers,
            so that `torch.func.functional_call` with predicted parameters needs nothing else.

    Returns:
        The network on the current default device (`torch.device("meta")` as a context costs no initialisation),
        in training mode.

    Raises:
        ValueError: When the arguments are no network, or its output would not depend on its input.
    """
    arguments = net_args if isinstance(net_args, NetworkArguments) else NetworkArguments.from_dict(net_args)
    plan = plan_connected(arguments, num_classes, image_size)
    return Network(plan, running_statistics=running_statistics)


def _normalisation(arguments: NetworkArguments, running_statistics: bool) -> Norm:
    if arguments.norm is None:
        return lambda channels: None
    return partial(BatchNorm2d, track_running_stats=running_statistics)


def _preprocessing(plan: InputPlan, channels: int, norm: Norm) -> nn.Module:
    if plan.kind == "identity":
        return nn.Identity()
    if plan.kind == "factorized":
        return FactorizedReduction(plan.channels, channels, norm)
    return pointwise(plan.channels, channels, norm)


def _simple_stem(plan: NetworkPlan, norm: Norm) -> nn.Sequential:
    kernel, channels = plan.arguments.ks, plan.stem_channels
    convolution = Conv2d(3, channels, kernel, stride=plan.stem_stride, padding=kernel // 2)
    pool = nn.MaxPool2d(3, stride=2, padding=1) if plan.arguments.stem_pool else None
    return _sequence(convolution, norm(channels), pool)


def _deep_stem(plan: NetworkPlan, norm: Norm) -> tuple[nn.Sequential, nn.Sequential]:
    kernel, channels, stride = plan.arguments.ks, plan.arguments.C, plan.stem_stride
    first = _sequence(
        Conv2d(3, channels // 2, kernel, stride=stride, padding=kernel // 2),
        norm(channels // 2),
        nn.ReLU(),
        Conv2d(channels // 2, channels, 3, stride=stride, padding=1),
        norm(channels),
    )
    return first, _sequence(nn.ReLU(), Conv2d(channels, channels, 3, stride=2, padding=1), norm(channels))


def _sequence(*layers: nn.Module | None) -> nn.Sequential:
    """The layers that are there, named by their places among all, as published parameter names are."""
    return nn.Sequential(OrderedDict((str(place), layer) for place, layer in enumerate(layers) if layer is not None))


def _classifier(plan: NetworkPlan) -> nn.Sequential:
    *hidden, last = plan.fully_connected
    layers: list[nn.Module] = []
    for features, width in hidden:
        layers += [Linear(features, width), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, Linear(*last))


def _concatenate(states: list[Tensor | None]) -> Tensor:
    present = [state for state in states if state is not None]
    if len(states) == 1:
        return present[0]
    return torch.cat([torch.zeros_like(present[0]) if state is None else state for state in states], dim=1)
