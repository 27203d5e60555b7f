"""The two networks of the split `predefined`, which people designed: ResNet-50 and a vision transformer.

Source: GHN-2 (NeurIPS 2021, section 3.2).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset

from ghn.common.optional import require
from ghn.deepnets.dataset import Architecture
from ghn.deepnets.direct_graph import graph_from_arguments
from ghn.deepnets.genotype import Genotype, NetworkArguments
from ghn.deepnets.network import network_from_arguments
from ghn.deepnets.plan import LARGE_IMAGE
from ghn.graph.trace import trace

_ATTENTION = (("msa", 1), ("none", 0))

VIT = NetworkArguments(
    genotype=Genotype(normal=_ATTENTION, normal_concat=(2,), reduce=_ATTENTION, reduce_concat=(2,)),
    n_cells=12,
    C=128,
    preproc=False,
    norm=None,
)
"""A vision transformer of 12 layers and 128 channels: each cell is one layer."""


class Predefined(Dataset[Architecture]):
    """ResNet-50 (number 0) and a vision transformer (number 1).

    Args:
        image_size: Side of the images in pixels. Below 128 ResNet-50 has the stem that is usual for small images: a
            3×3 convolution of stride 1, and no pooling.
        num_classes: Outputs.
    """

    names = ("resnet50", "vit")

    def __init__(self, image_size: int = 32, num_classes: int = 10) -> None:
        self.image_size = image_size
        self.num_classes = num_classes

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Architecture:
        """The network on the meta device, its graph, and its arguments (of ResNet-50 only the name)."""
        name = self.names[index]
        if name == "vit":
            with torch.device("meta"):
                network: nn.Module = network_from_arguments(VIT, self.num_classes, self.image_size)
            return Architecture(network, graph_from_arguments(VIT, self.num_classes, self.image_size), VIT.to_dict())
        with torch.device("meta"):
            network = resnet50(self.num_classes, self.image_size)
            images = torch.zeros(2, 3, self.image_size, self.image_size)
        return Architecture(network, trace(network, images), {"name": name})


def resnet50(num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """Torchvision's ResNet-50, its stem fitted to the images.

    Args:
        num_classes: Outputs.
        image_size: Side of the images in pixels.

    Raises:
        ValueError: In one line, where torchvision is not installed.
    """
    network = require("torchvision", "vision", "ResNet-50").models.resnet50(num_classes=num_classes)
    if image_size < LARGE_IMAGE:
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network
