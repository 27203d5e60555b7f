"""Accuracy of predicted parameters over the evaluation splits of DeepNets-1M and the predefined networks.

Source: GHN-2 (Knyazev et al., NeurIPS 2021, section 4.1 and tables 1, 2).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from ghn.common.settings import Settings, at_least
from ghn.data import ImageSet, ImageStream, load
from ghn.data.sample import BATCH_SIZE
from ghn.deepnets import open_split
from ghn.deepnets.cost import megamacs
from ghn.deepnets.predefined import Predefined
from ghn.deepnets.sample import SPLITS
from ghn.evaluate.accuracy import score, use_batch_statistics
from ghn.graph import ComputationalGraph
from ghn.hypernet import GHN

DEFAULT_SPLITS = {"test": 100, "wide": 20, "deep": 20, "dense": 20, "bnfree": 20}


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Settings):
    """What is evaluated.

    Attributes:
        data: Name of the data set whose test images are used.
        data_root: Folder that holds it; None for the default.
        splits: For each split of DeepNets-1M the number of its networks, from the first on.
        metadata: A published JSON file to take the networks of the splits from; None draws them.
        predefined: Whether ResNet-50 and the vision transformer are evaluated as well.
        images: Test images for each network, other ones for each; None for all, at most as many as there are.
        seed: Governs their order.
    """

    data: str = "cifar10"
    data_root: str | None = None
    splits: dict[str, int] = field(default_factory=lambda: dict(DEFAULT_SPLITS))
    metadata: str | None = None
    predefined: bool = True
    images: int | None = None
    seed: int = field(default=0, metadata=at_least(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        for split, count in self.splits.items():
            if split not in SPLITS:
                raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
            if not 1 <= count <= SPLITS[split].size:
                raise ValueError(f"{split} has 1..{SPLITS[split].size} networks to evaluate, not {count}")
        if not self.splits and not self.predefined:
            raise ValueError("no network to evaluate: ask for some of a split, or for the predefined ones")
        if self.images is not None and self.images < 2:
            raise ValueError(
                f"images must be at least 2 (batch norms need them), not {self.images}; leave it out for all"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResult:
    """One network.

    Attributes:
        split: Split of DeepNets-1M, or the name of a predefined network.
        index: Number in the split.
        top1: Share of images classified rightly, 0..1.
        top5: Share of images whose class is among the five best.
        loss: Mean cross-entropy.
        images: Images it was evaluated on.
        parameters: Its predicted parameters' elements.
        nodes: Nodes of its graph.
        cells: Cells; None for ResNet-50.
        megamacs: Millions of multiply-adds for an image; None for ResNet-50.
        attention: Whether it is a vision transformer.
        batch_norm: Whether it has batch norms.
        seconds: Time to predict its parameters.
    """

    split: str
    index: int
    top1: float
    top5: float
    loss: float
    images: int
    parameters: int
    nodes: int
    cells: int | None
    megamacs: float | None
    attention: bool
    batch_norm: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of one hypernetwork.

    Attributes:
        config: What was evaluated.
        hypernet: The hypernetwork's config.
        networks: Results by network.
    """

    config: EvaluationConfig
    hypernet: dict[str, Any]
    networks: tuple[NetworkResult, ...]

    def rows(self) -> list[dict[str, Any]]:
        """For each split: networks, mean, standard deviation and range of the top-1 accuracy in per cent."""
        rows = []
        for split in dict.fromkeys(result.split for result in self.networks):
            values = [100 * result.top1 for result in self.networks if result.split == split]
            rows.append(
                {
                    "split": split,
                    "networks": len(values),
                    "mean": statistics.fmean(values),
                    "std": statistics.pstdev(values),
                    "least": min(values),
                    "most": max(values),
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "config": self.config.to_dict(),
            "hypernet": self.hypernet,
            "summary": self.rows(),
            "networks": [asdict(result) for result in self.networks],
        }

    def __str__(self) -> str:
        lines = ["split     networks  top-1 accuracy, %     range"]
        for row in self.rows():
            lines.append(
                f"{row['split']:<9} {row['networks']:>8}  {row['mean']:>6.2f} ± {row['std']:<6.2f}   "
                f"{row['least']:>8.1f}–{row['most']:.1f}"
            )
        return "\n".join(lines)


def evaluate(
    hypernet: GHN,
    config: EvaluationConfig,
    *,
    progress: Callable[[NetworkResult], None] | None = None,
    images: ImageSet | None = None,
) -> Evaluation:
    """Predict the parameters of unseen networks and run these on test images, without any training.

    Args:
        hypernet: The hypernetwork; images are put on its device.
        config: What to evaluate.
        progress: Called after each network.
        images: Test images to use instead of loading `config.data`.

    Raises:
        DataError: When the images are missing.
        ValueError: When the data set has another number of classes than the hypernetwork.
    """
    test_images = load(config.data, root=config.data_root, split="test") if images is None else images
    if len(test_images.classes) != hypernet.config.num_classes:
        raise ValueError(
            f"{test_images.name} has {len(test_images.classes)} classes, the hypernetwork predicts "
            f"{hypernet.config.num_classes}; take another data set or hypernetwork"
        )
    test_images = test_images.to(hypernet.device)
    results = []
    for number, (split, index, network, graph) in enumerate(_networks(config, test_images.image_size, hypernet)):
        stream = ImageStream(
            test_images, batch_size=min(BATCH_SIZE, len(test_images)), seed=config.seed * 1_000_003 + number
        )
        results.append(_evaluate_one(hypernet, split, index, network, graph, stream, config))
        if progress is not None:
            progress(results[-1])
    return Evaluation(config=config, hypernet=hypernet.config.to_dict(), networks=tuple(results))


def _networks(
    config: EvaluationConfig, image_size: int, hypernet: GHN
) -> Iterator[tuple[str, int, nn.Module, ComputationalGraph]]:
    classes = hypernet.config.num_classes
    for split, count in config.splits.items():
        deepnets = open_split(split, image_size, classes, metadata=config.metadata)
        if count > len(deepnets):
            raise ValueError(f"{config.metadata} has {len(deepnets)} networks of {split}, not {count}; ask for fewer")
        for index in range(count):
            network, graph, _ = deepnets[index]
            yield split, index, network, graph
    if config.predefined:
        for index, name in enumerate(Predefined.names):
            network, graph, _ = Predefined(image_size, classes)[index]
            yield name, 0, network, graph


@torch.no_grad()
def _evaluate_one(
    hypernet: GHN,
    split: str,
    index: int,
    network: nn.Module,
    graph: ComputationalGraph,
    stream: ImageStream,
    config: EvaluationConfig,
) -> NetworkResult:
    began = time.perf_counter()
    (weights,) = hypernet([graph])
    seconds = time.perf_counter() - began
    use_batch_statistics(network)
    scores = score(network.eval(), stream, weights=weights, images=config.images)
    plan = getattr(network, "plan", None)
    operations = {node.op for node in graph.nodes}
    return NetworkResult(
        split=split,
        index=index,
        top1=scores.top1,
        top5=scores.top5,
        loss=scores.loss,
        images=scores.images,
        parameters=sum(weight.numel() for weight in weights.values()),
        nodes=len(graph),
        cells=None if plan is None else plan.arguments.n_cells,
        megamacs=None if plan is None else megamacs(plan),
        attention="msa" in operations,
        batch_norm="bn" in operations,
        seconds=seconds,
    )
