"""GradInit: scales with which the first step of training gains most, under a bound of the gradient norm.

Source: Zhu et al., GradInit: Learning to Initialize Neural Networks for Stable and Efficient Training, NeurIPS 2021,
equation 1 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ghn.common.settings import at_least
from ghn.initializers.learned.bounded import BoundedSettings, BoundedStart
from ghn.initializers.learned.network import ScaledNetwork, joined, norm_of
from ghn.initializers.options import read_options
from ghn.initializers.report import Batch


@dataclass(frozen=True, kw_only=True)
class GradInitSettings(BoundedSettings):
    """See `BoundedSettings`; as many steps as one epoch of CIFAR-10 has batches of 128."""

    steps: int = field(default=390, metadata=at_least(1))


class GradInit(BoundedStart):
    """Minimises the loss after one step of training, on images of which half were seen in that step.

    Args:
        argument: Settings as `adam,steps=390,lr=0.01,eta=0.001,gamma=100`.
    """

    objective_name = "loss after a step"

    def __init__(self, argument: str | None = None) -> None:
        name = "gradinit" if argument is None else f"gradinit:{argument}"
        super().__init__(name, read_options("gradinit", GradInitSettings, argument))

    def problem(
        self, network: ScaledNetwork, batches: Sequence[Batch], index: int
    ) -> tuple[Tensor, Callable[[], Tensor]]:
        """‖g‖ on a batch S, and the loss of S̃ at θ - η A[g]: A[g] is g for SGD, its sign for Adam."""
        batch = batches[index % len(batches)]
        tensors = network.tensors()
        gradients = network.gradients(network.loss(tensors, batch), tensors)

        def after_a_step() -> Tensor:
            step = {key: g if self.settings.power == 2 else g.detach().sign() for key, g in gradients.items()}
            moved = {
                key: value - self.settings.rate * step[key] if key in step else value for key, value in tensors.items()
            }
            return network.loss(moved, half_new(batch, batches[(index + 1) % len(batches)]))

        return norm_of(list(gradients.values()), self.settings.power), after_a_step


def half_new(batch: Batch, following: Batch) -> Batch:
    """The second half of a batch, and the first half of the one that follows it."""
    middle = len(batch[1]) // 2
    end = (len(following[1]) + 1) // 2
    return joined((batch[0][middle:], batch[1][middle:]), (following[0][:end], following[1][:end]))
