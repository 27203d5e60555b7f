"""How good a start predicted weights are: accuracy after a few dozen steps of SGD from them, beside random ones.

The better hypernetwork is not always the better start (its networks are more accurate at once and train no better), so
that a training measures what follows, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ghn.evaluate.accuracy import score_batches
from ghn.meta.targets import Target
from ghn.training.memory import unless_out_of_memory

MOMENTUM = 0.9

Batches = Sequence[tuple[Tensor, Tensor]]


def accuracy_after_steps(
    network: nn.Module, weights: Mapping[str, Tensor], training: Batches, held_out: Batches, *, rate: float
) -> float:
    """Train a network's weights by SGD with momentum 0.9, one step a batch, and evaluate it.

    Args:
        network: Uses no other parameters or buffers; batch norms use the batch's statistics. Its mode changes.
        weights: What it starts from; left as they are.
        training: Images (B, 3, H, W) and labels (B,) of each step.
        held_out: Images that it is evaluated on.
        rate: Learning rate.

    Returns:
        Accuracy 0..1; images whose scores are not finite are wrong.
    """
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in weights.items()}
    optimizer = torch.optim.SGD(list(leaves.values()), lr=rate, momentum=MOMENTUM)
    network.train()
    with torch.enable_grad():
        for images, labels in training:
            scores_BC = functional_call(network, leaves, (images,))
            scores_BC = scores_BC[0] if isinstance(scores_BC, tuple) else scores_BC
            optimizer.zero_grad()
            functional.cross_entropy(scores_BC.float(), labels).backward()
            optimizer.step()
    trained = {name: tensor.detach() for name, tensor in leaves.items()}
    return score_batches(network.eval(), held_out, weights=trained).top1


@dataclass(kw_only=True)
class Adaptation:
    """The evaluation of a training: the same networks, images and random weights every time.

    Seeds the process's generator (a training gives it back after a validation).

    Attributes:
        targets: The networks.
        random: For each of them its own initialisation, made when it is needed.
        training: Images of the steps; as many steps are made.
        held_out: Images that networks are evaluated on.
        rates: Learning rates; each start has the one that is best on the mean of the networks.
    """

    targets: Sequence[Target]
    random: Callable[[int], Mapping[str, Tensor]]
    training: Batches
    held_out: Batches
    rates: Sequence[float]
    _from_random: float | None = field(default=None, init=False)

    def from_predicted(self, hypernet: nn.Module) -> float:
        """Mean accuracy after the steps from what a hypernetwork predicts; its mode is restored. NaN without memory."""
        before = hypernet.training
        hypernet.eval()

        def predicted(index: int) -> Mapping[str, Tensor]:
            with torch.no_grad():
                return hypernet([self.targets[index].graph])[0]

        try:
            return self._best(predicted)
        finally:
            hypernet.train(before)

    def from_random(self) -> float:
        """The same from the networks' own initialisation; computed once."""
        if self._from_random is None:
            self._from_random = self._best(self.random)
        return self._from_random

    def _best(self, start: Callable[[int], Mapping[str, Tensor]]) -> float:
        by_rate: dict[float, list[float]] = {rate: [] for rate in self.rates}
        for index in range(len(self.targets)):
            found = unless_out_of_memory(self._accuracies, index, start)
            for rate, accuracy in (found or {}).items():
                by_rate[rate].append(accuracy)
        means = [statistics.fmean(accuracies) for accuracies in by_rate.values() if accuracies]
        return max(means, default=float("nan"))

    def _accuracies(self, index: int, start: Callable[[int], Mapping[str, Tensor]]) -> dict[float, float]:
        weights, network = start(index), self.targets[index].network
        found = {}
        for rate in self.rates:
            # Draws inside a network (dropout) are the same for each start, every time.
            torch.manual_seed(index)
            found[rate] = accuracy_after_steps(network, weights, self.training, self.held_out, rate=rate)
        return found
