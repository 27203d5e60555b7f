"""Choose the few training images that a hypernetwork brings along, by how well their batch-norm statistics fit.

python -m benchmarks.choose_images --data-root CIFAR10
python -m benchmarks.choose_images --draws 16 71 29 --models resnet34

Balanced draws of so many images are compared on predicted networks: torchvision's, and the first of DeepNets-1M's
validation split that have batch norms. The distance of a draw is the mean over batch norms and channels of
(m - M)² / V + ½ ln² (v / V), where m, v are its mean and variance and M, V averages over batches of random training
images; a draw's rank is its mean distance over networks, in medians of all draws.

The shipped images are draw 16 of 64 images. It was the best of a hundred on resnet34, densenet169, resnext50_32x4d and
three networks of the validation split by ghn3-t-cifar10, and resnet34 by ghn3-t-cifar10-wide; and of five draws that
were best on one of these, the one with which the accuracy of resnet18, resnet50 and densenet121 on 1,024 training
images was nearest to that with batch statistics.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from ghn.batch_norm import norms_with_statistics, set_statistics
from ghn.data import ImageSet, load
from ghn.data.augment import normalise
from ghn.deepnets import DeepNets, network_from_arguments
from ghn.model import from_pretrained

EPSILON = 1e-5


def networks(arguments: argparse.Namespace) -> Iterator[tuple[str, nn.Module]]:
    """Predicted networks by name."""
    split = DeepNets("val")
    normed = [drawn for drawn in map(split.arguments, range(100)) if drawn.norm is not None][: arguments.networks]
    for source in arguments.ghn:
        hypernet = from_pretrained(source)
        made = [(name, getattr(torchvision.models, name)(num_classes=10)) for name in arguments.models]
        made += [
            (f"val {place}", network_from_arguments(drawn, running_statistics=True))
            for place, drawn in enumerate(normed)
        ]
        for name, model in made:
            hypernet.initialize(model, torch.zeros(2, 3, 32, 32))
            yield f"{source} {name}", model


def statistics(model: nn.Module, images: ImageSet) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of each batch norm, averaged over batches of 64."""
    pixels = normalise(images.images, images)
    set_statistics(model, list(zip(pixels.split(64), images.labels.split(64), strict=True)))
    norms = norms_with_statistics(model).values()
    return [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]


def distance(found: list[tuple[Tensor, Tensor]], wanted: list[tuple[Tensor, Tensor]]) -> float:
    """How far statistics are from others."""
    parts = [
        ((mean - other_mean) ** 2 / (other_var + EPSILON)).mean()
        + torch.log((var + EPSILON) / (other_var + EPSILON)).square().mean() / 2
        for (mean, var), (other_mean, other_var) in zip(found, wanted, strict=True)
    ]
    return float(torch.stack(parts).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="images in a draw")
    parser.add_argument("--draws", type=int, nargs="+", default=list(range(100)), help="seeds of `few_shot`")
    parser.add_argument("--reference", type=int, default=2048, help="random training images to compare with")
    parser.add_argument("--ghn", nargs="+", default=["ghn3-t-cifar10", "ghn3-t-cifar10-wide"])
    parser.add_argument("--models", nargs="*", default=["resnet34", "densenet169", "resnext50_32x4d"])
    parser.add_argument("--networks", type=int, default=3, help="of the validation split")
    parser.add_argument("--data-root", type=Path, default=None)
    arguments = parser.parse_args()
    train = load("cifar10", root=arguments.data_root, split="train")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
    total = torch.zeros(len(arguments.draws))
    for compared, (name, model) in enumerate(networks(arguments), 1):
        wanted = statistics(model, train.subset(order[: arguments.reference]))
        found = [
            distance(statistics(model, train.few_shot(arguments.count, seed=draw)), wanted) for draw in arguments.draws
        ]
        distances = torch.tensor(found)
        total += distances / distances.median()
        best = [arguments.draws[place] for place in total.argsort()[:5].tolist()]
        print(f"{name}: best so far {best}, mean rank {float(total.min()) / compared:.2f}", flush=True)


if __name__ == "__main__":
    main()
