"""Networks from a start: predicted parameters of many networks fast, any chain of initialisers on any network."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.modules import named_parameters
from ghn.evaluate.accuracy import use_batch_statistics
from ghn.evaluate.config import BatchNormMode
from ghn.evaluate.images import EvaluationImages
from ghn.evaluate.networks import Candidate
from ghn.graph import ComputationalGraph
from ghn.initializers import Chain, StartReport, create
from ghn.initializers.calibration import Calibrate
from ghn.initializers.simple import Hypernetwork
from ghn.model import GHN

OWN_HYPERNET = "ghn"
"""What stands in a chain for the hypernetwork that is evaluated."""

OWN_HEAD = "re-initialised"


@dataclass(frozen=True, kw_only=True)
class Started:
    """A network that has its parameters.

    Attributes:
        network: In evaluation mode, on the device of the images.
        weights: Parameters to use instead of the network's own; None for these.
        parameters: Their elements.
        head: What set the classification head; see `NetworkResult`.
        seconds: Time to set them.
    """

    network: nn.Module
    weights: Mapping[str, Tensor] | None
    parameters: int
    head: str | None
    seconds: float


class Start:
    """One of the starts of an evaluation.

    Args:
        text: As `ghn.initializers.create` takes it.
        hypernet: What `ghn` without a name stands for.
        device: Where networks are run.

    Raises:
        ValueError: If it needs a hypernetwork that was not given or cannot be loaded.
    """

    def __init__(self, text: str, hypernet: GHN | None, device: torch.device) -> None:
        self.text, self._device = text, device
        chain = create(text)
        self.hypernet: GHN | None = None
        first = chain.steps[0]
        if isinstance(first, Hypernetwork):
            own = text == OWN_HYPERNET or text.startswith(f"{OWN_HYPERNET}+")
            if own and hypernet is None:
                raise ValueError(f"the start {text!r} needs a hypernetwork; give one, or name it: ghn:NAME")
            if own:
                first = Hypernetwork(hypernet)
                chain = Chain([first, *chain.steps[1:]])
            self.hypernet = first.hypernet.to(device)
        self.chain = chain

    def check_classes(self, classes: int, data: str) -> None:
        """See that a head that is predicted has the classes of the images, unless it is solved anew.

        Raises:
            ValueError: If not.
        """
        if self.hypernet is None or self.hypernet.config.num_classes == classes:
            return
        if not any(isinstance(step, Calibrate) and step.head for step in self.chain.steps):
            raise ValueError(
                f"{data} has {classes} classes, the hypernetwork predicts {self.hypernet.config.num_classes}; "
                "take another data set or hypernetwork, or a start that solves the head (+calibrate)"
            )

    @torch.no_grad()
    def begin(self, candidate: Candidate, images: EvaluationImages, mode: BatchNormMode, seed: int) -> Started:
        """The network with its parameters.

        Args:
            candidate: Which network.
            images: What starts are calibrated by.
            mode: Which statistics its batch norms are to use.
            seed: Governs its own initialisation and what the start draws.
        """
        if candidate.architecture is not None and mode == "batch" and len(self.chain.steps) == 1 and self.hypernet:
            return self._predicted(candidate, self.hypernet)
        network = candidate.build(seed).to(self._device)
        batches = images.training if self.chain.needs_images else images.shape
        report = self.chain(network, batches, seed=seed)
        if mode == "batch":
            use_batch_statistics(network)
        return Started(
            network=network.eval(),
            weights=None,
            parameters=sum(parameter.numel() for parameter in named_parameters(network).values()),
            head=head_of(candidate.graph, report),
            seconds=report.seconds,
        )

    def _predicted(self, candidate: Candidate, hypernet: GHN) -> Started:
        """From the graph at hand to parameters, without a network that would hold them."""
        graph = candidate.graph
        assert graph is not None
        began = time.perf_counter()
        (weights,) = hypernet([graph])
        seconds = time.perf_counter() - began
        use_batch_statistics(candidate.bare)
        return Started(
            network=candidate.bare.eval(),
            weights=weights,
            parameters=sum(weight.numel() for weight in weights.values()),
            head=self.text if any(spec.head for spec in graph.parameters.values()) else None,
            seconds=seconds,
        )


def head_of(graph: ComputationalGraph | None, report: StartReport) -> str | None:
    """Which steps of a chain set the classification head; see `NetworkResult`."""
    heads = set() if graph is None else {name for name, spec in graph.parameters.items() if spec.head}
    if not heads:
        return None
    setters = [step.name for step in report.steps or (report,) if heads & set(step.changed)]
    return "+".join(setters) or OWN_HEAD


def describe(hypernets: list[GHN]) -> dict[str, Any] | None:
    """The config of the first hypernetwork, if there is any."""
    return hypernets[0].config.to_dict() if hypernets else None
