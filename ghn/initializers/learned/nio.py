"""NIO: scales with which the gradients of different images agree, under a bound of their norms.

Source: Yang et al., Towards Theoretically Inspired Neural Initialization Optimization, NeurIPS 2022: GradCosine of
sub-batches that overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import Tensor

from ghn.common.settings import at_least
from ghn.initializers.learned.bounded import BoundedSettings, BoundedStart
from ghn.initializers.learned.network import ScaledNetwork, norm_of
from ghn.initializers.options import read_options
from ghn.initializers.report import Batch


@dataclass(frozen=True, kw_only=True)
class NIOSettings(BoundedSettings):
    """See `BoundedSettings`.

    Attributes:
        parts: Sub-batches of a batch.
        overlap: Share of a sub-batch that the next one has too.
    """

    parts: int = field(default=2, metadata=at_least(2))
    overlap: float = field(default=0.2, metadata={"share": True})


class NIO(BoundedStart):
    """Maximises the cosine of the gradients of sub-batches, whose largest norm is bounded.

    Args:
        argument: Settings as `adam,steps=100,lr=0.01,parts=2,overlap=0.2,gamma=1`.
    """

    objective_name = "gradient cosine"
    settings: NIOSettings

    def __init__(self, argument: str | None = None) -> None:
        name = "nio" if argument is None else f"nio:{argument}"
        settings = read_options("nio", NIOSettings, argument)
        super().__init__(name, settings)
        # Two in each sub-batch, for batch norms.
        self.needs_images = max(self.needs_images, 2 * settings.parts)

    def shown(self, objective: float) -> float:
        """The cosine."""
        return -objective

    def problem(
        self, network: ScaledNetwork, batches: Sequence[Batch], index: int
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """The largest ‖gᵢ‖ of the sub-batches, and minus the mean cosine of pairs of gᵢ."""
        tensors = network.tensors()
        parts = sub_batches(batches[index % len(batches)], self.settings.parts, self.settings.overlap)
        gradients = [network.gradients(network.loss(tensors, part), tensors) for part in parts]
        norms = [norm_of(list(each.values()), self.settings.power) for each in gradients]
        return torch.stack(norms).max(), lambda: -mean_cosine(gradients)


def mean_cosine(gradients: Sequence[dict[str, Tensor]]) -> Tensor:
    """The mean over all pairs of the cosine of two gradients, each as one vector."""
    norms = [norm_of(list(each.values()), 2) for each in gradients]
    cosines = []
    for one, other in combinations(range(len(gradients)), 2):
        shared = gradients[one].keys() & gradients[other].keys()
        products = [(gradients[one][key] * gradients[other][key]).sum() for key in sorted(shared)]
        cosines.append(torch.stack(products).sum() / (norms[one] * norms[other]))
    return torch.stack(cosines).mean()


def sub_batches(batch: Batch, parts: int, overlap: float) -> list[Batch]:
    """A batch in parts of equal size, each of which shares a part of its images with the next.

    Raises:
        ValueError: If a part would have fewer than two images.
    """
    images, labels = batch
    size = round(len(labels) / (1 + (parts - 1) * (1 - overlap)))
    if size < 2:
        raise ValueError(f"nio needs two images in each of {parts} parts of a batch, not {len(labels)} in all")
    starts = [round(part * (len(labels) - size) / (parts - 1)) for part in range(parts)]
    return [(images[start : start + size], labels[start : start + size]) for start in starts]
