"""Rank random architectures without training any: each is run with the parameters that a hypernetwork predicts for it.

A search would train only the best, or let an evolution or a Bayesian optimiser propose the next ones by these scores
(GHN-3, Knyazev et al., ICML 2023, section 4.6; Zhang et al., Graph HyperNetworks for NAS, ICLR 2019).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import ghn
from ghn.data.augment import normalise
from ghn.deepnets import DeepNets
from ghn.evaluate.accuracy import score_batches


@dataclass(frozen=True)
class Candidate:
    """An architecture with its score.

    Attributes:
        number: In its split of DeepNets-1M.
        accuracy: Share of the images whose class has the highest score, 0..1.
        parameters: Number of its parameters.
    """

    number: int
    accuracy: float
    parameters: int


def main(candidates: int = 200, most_parameters: float = 1e6, shown: int = 5) -> list[Candidate]:
    """Rank the first `candidates` of the test split that have at most `most_parameters` parameters."""
    hypernet = ghn.from_pretrained("ghn3-t-cifar10-wide")
    # 64 images of CIFAR-10 come with the hypernetwork; a search would take a validation split.
    images = hypernet.images
    assert images is not None
    batches = [(normalise(images.images, images), images.labels)]

    split = DeepNets("test", num_classes=len(images.classes))
    taken = [(number, split[number]) for number in range(candidates)]
    taken = [
        (number, drawn)
        for number, drawn in taken
        if sum(parameter.numel() for parameter in drawn.network.parameters()) <= most_parameters
    ]
    began = time.perf_counter()
    # Networks of DeepNets-1M come with their graphs. For others leave out `graphs`: they are traced then.
    predictions = hypernet.predict_each(
        (drawn.network for _, drawn in taken), graphs=(drawn.graph for _, drawn in taken)
    )
    found = []
    for (number, drawn), weights in zip(taken, predictions, strict=True):
        scores = score_batches(drawn.network.eval(), batches, weights=weights)
        found.append(Candidate(number, scores.top1, sum(parameter.numel() for parameter in drawn.network.parameters())))
    seconds = time.perf_counter() - began
    found.sort(key=lambda candidate: -candidate.accuracy)
    print(f"{len(found)} architectures ranked in {seconds:.1f} s, {len(found) / seconds:.1f} a second")
    for candidate in found[:shown]:
        print(
            f"number {candidate.number:>4}: {100 * candidate.accuracy:.1f} % right without training, "
            f"{candidate.parameters / 1e6:.2f} M parameters"
        )
    return found


if __name__ == "__main__":
    main()
