"""Networks of experiments by names that any command takes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ghn.analysis.published import models
from ghn.deepnets import DeepNets, network_from_arguments


def deepnets(split: str, index: int, num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """A network of DeepNets-1M, as `ghn.experiments.networks:deepnets,split=test,index=3` names it.

    Args:
        split: Of the data set.
        index: Number in it.
        num_classes: Outputs.
        image_size: Side of the images in pixels.
    """
    arguments = DeepNets(split, image_size, num_classes).arguments(index)
    return network_from_arguments(arguments, num_classes, image_size, running_statistics=True)


def deepnets_names(splits: Mapping[str, int]) -> tuple[str, ...]:
    """The names of the first networks of some splits."""
    return tuple(deepnets_name(split, index) for split, count in splits.items() for index in range(count))


def deepnets_name(split: str, index: int) -> str:
    """The name of a network."""
    return f"ghn.experiments.networks:deepnets,split={split},index={index}"


def torchvision_names() -> tuple[str, ...]:
    """The 74 classifiers of torchvision 0.13 with trained weights (PYTORCH in the paper)."""
    return models()


def short(name: str) -> str:
    """A network's name for tables."""
    if name.startswith("ghn.experiments.networks:deepnets,"):
        split, index = (part.partition("=")[2] for part in name.split(",")[1:])
        return f"{split} {index}"
    return name.rpartition(":")[2]
