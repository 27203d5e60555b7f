"""A map of architectures, as a hypernetwork sees them: networks near each other have like graphs.

A network is the mean of its nodes' final states in the hypernetwork's encoder; two are near by the cosine of their
vectors, after the mean of all networks is taken off.

Legend: M networks, D hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ghn.analysis.networks import Networks, Structure
from ghn.common.text import without_nan
from ghn.graph import ComputationalGraph
from ghn.hypernet import GHN
from ghn.hypernet.batch import GraphBatch


@dataclass(frozen=True, kw_only=True)
class ArchitectureMap:
    """Networks in two dimensions.

    Attributes:
        models: Names of the networks.
        families: What each is one of.
        points: (M, 2), the two principal components, the first being the longer.
        explained: Share of the variance that each of the two has, 0..1.
        similarities: (M, M), cosines of the centred vectors, −1..1.
    """

    models: tuple[str, ...]
    families: tuple[str, ...]
    points: NDArray[np.float64]
    explained: tuple[float, float]
    similarities: NDArray[np.float64]

    def nearest(self, model: str, count: int = 5) -> list[tuple[str, float]]:
        """The networks most like one, with their cosines, the nearest first.

        Raises:
            ValueError: If the map does not have it.
        """
        check_on_map(model, self.models)
        row = self.similarities[self.models.index(model)]
        order = [place for place in np.argsort(-row, kind="stable") if self.models[place] != model]
        return [(self.models[place], float(row[place])) for place in order[:count]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return without_nan(
            {
                "explained": list(self.explained),
                "networks": [
                    {"model": model, "family": family, "x": float(x), "y": float(y)}
                    for model, family, (x, y) in zip(self.models, self.families, self.points, strict=True)
                ],
                "nearest": {model: dict(self.nearest(model)) for model in self.models},
            }
        )


def check_on_map(model: str, models: Sequence[str]) -> None:
    """See that a map of these networks has one.

    Raises:
        ValueError: If not.
    """
    if model not in models:
        raise ValueError(f"{model!r} is not on the map; there are {', '.join(models[:8])}")


@torch.no_grad()
def embedding(hypernet: GHN, graph: ComputationalGraph) -> Tensor:
    """The mean of a graph's node states after the encoder, (D,)."""
    batch = GraphBatch.from_graphs([graph], with_distances=hypernet.config.encoder != "mlp").to(hypernet.device)
    return hypernet.encode(batch).float().mean(0).cpu()


def architecture_map(
    networks: Networks, hypernet: GHN, progress: Callable[[Structure], None] | None = None
) -> ArchitectureMap:
    """Where a hypernetwork's encoder sees networks.

    Args:
        networks: At least three; no parameters and no images are looked at.
        hypernet: The hypernetwork.
        progress: Called after each network.

    Raises:
        ValueError: In one line, if there are fewer that can be traced; the others are in `networks.failed`.
    """
    if len(networks.candidates) < 3:
        raise ValueError(f"a map takes at least 3 networks, not {len(networks.candidates)}; name more")
    vectors, names, families = [], [], []
    for structure in networks.structures():
        vectors.append(embedding(hypernet, structure.graph))
        names.append(structure.name)
        families.append(structure.family)
        if progress is not None:
            progress(structure)
    if len(names) < 3:
        name, reason = next(iter(networks.failed.items()))
        raise ValueError(f"a map takes at least 3 networks, and {len(networks.failed)} failed, e.g. {name}: {reason}")
    points, explained, similarities = projected(torch.stack(vectors).double().numpy())
    return ArchitectureMap(
        models=tuple(names), families=tuple(families), points=points, explained=explained, similarities=similarities
    )


def projected(vectors_MD: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float], NDArray[np.float64]]:
    """The first two principal components (M, 2), their shares of the variance, and cosines of centred vectors (M, M).

    Signs are such that each component's largest element is positive, so that maps are alike on all machines.
    """
    centred = vectors_MD - vectors_MD.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    scores = (left * values)[:, :2]
    if scores.shape[1] < 2:
        scores = np.pad(scores, ((0, 0), (0, 2 - scores.shape[1])))
    largest = scores[np.abs(scores).argmax(0), [0, 1]]
    scores = scores * np.where(largest < 0, -1.0, 1.0)
    whole = float((values**2).sum())
    shares = [float(value**2 / whole) if whole > 0 else math.nan for value in (*values, 0.0)[:2]]
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(lengths > 0, lengths, 1.0)
    return scores, (shares[0], shares[1]), np.clip(unit @ unit.T, -1, 1)


def families_in_order(families: Sequence[str]) -> list[str]:
    """Each family once, the largest first."""
    return sorted(dict.fromkeys(families), key=lambda family: (-families.count(family), family))
