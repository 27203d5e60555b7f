"""Accuracy of a network on images, batch norms using the statistics of the evaluation batch.

Source: GHN-2 (Knyazev et al., NeurIPS 2021, section 4.1): batches of 64 test images in a random order.
Here the images that these leave over make a last, smaller batch, so that every image counts.

Legend: B images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ghn.common.private_torch import is_batch_norm
from ghn.data import ImageStream
from ghn.data.image_folder import ImageFolderStream
from ghn.data.sample import first_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How a network does.

    Attributes:
        top1: Share of images whose class has the highest score, 0..1.
        top5: Share of images whose class is among the five highest scores.
        loss: Mean cross-entropy; infinite or NaN where the network's outputs are.
        images: Number of images.
    """

    top1: float
    top5: float
    loss: float
    images: int


def use_batch_statistics(network: nn.Module) -> None:
    """Let batch norms normalise by the batch at hand, in training and evaluation, and keep no running statistics.

    Changes the network in place: the buffers are removed.
    """
    for module in network.modules():
        if is_batch_norm(module):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None


def scores_of(output: Any) -> Tensor:
    """The scores (B, C) in what a classifier returns: itself, its `logits` (transformers), or the first of several.

    Raises:
        ValueError: If there are none.
    """
    if isinstance(output, Mapping):
        output = output["logits"] if "logits" in output else next(iter(output.values()), None)
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    if not isinstance(output, Tensor) or output.dim() != 2:
        what = f"of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(
            f"the model's output is {what}, and no scores (images, classes): it is no classifier of images"
        )
    return output


@torch.no_grad()
def score(
    network: nn.Module,
    stream: ImageStream | ImageFolderStream,
    *,
    weights: Mapping[str, Tensor] | None = None,
    images: int | None = None,
) -> Scores:
    """Run a network over images.

    Args:
        network: In evaluation mode (dropout off); its batch norms should use batch statistics
            (`use_batch_statistics`; networks of DeepNets-1M do so already).
        stream: The images; its batch size is that of the statistics.
        weights: Parameters to use instead of the network's own, e.g. predicted ones.
        images: Most images to use, the first ones of the stream's first epoch; None for all of this.
    """
    most = stream.images_per_epoch
    batches = first_batches(stream, most if images is None else min(images, most))
    shaped = ((inputs.contiguous(memory_format=torch.channels_last), labels) for inputs, labels in batches)
    return score_batches(network, shaped, weights=weights)


@torch.no_grad()
def score_batches(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, weights: Mapping[str, Tensor] | None = None
) -> Scores:
    """As `score`, over given images (B, 3, H, W) and labels (B,) int64.

    An image for which an output is not finite counts as wrong: NaN would count as class 0.

    Raises:
        ValueError: If the network gives no scores (B, C), or has fewer classes than the images.
    """
    sums = torch.zeros(3, dtype=torch.float64)
    count = 0
    for inputs, labels in batches:
        output = network(inputs) if weights is None else functional_call(network, dict(weights), (inputs,))
        scores_BC = _checked(scores_of(output), labels).float()
        best = scores_BC.topk(min(5, scores_BC.shape[1]), dim=1).indices == labels[:, None]
        loss = functional.cross_entropy(scores_BC, labels, reduction="sum")
        hits = best & scores_BC.isfinite().all(dim=1, keepdim=True)
        sums += torch.stack([hits[:, 0].sum(), hits.any(dim=1).sum(), loss]).double().cpu()
        count += len(labels)
    top1, top5, loss_sum = (sums / count).tolist()
    return Scores(top1=top1, top5=top5, loss=loss_sum, images=count)


def _checked(scores_BC: Tensor, labels: Tensor) -> Tensor:
    """Scores of as many images as there are labels, and of all their classes."""
    if scores_BC.dim() != 2 or len(scores_BC) != len(labels):
        what = f"a tensor of shape {tuple(scores_BC.shape)}"
        raise ValueError(f"the network gives {what}, not scores of classes for {len(labels)} images")
    if int(labels.max()) >= scores_BC.shape[1]:
        raise ValueError(
            f"the network has {scores_BC.shape[1]} outputs, and the images have labels up to {int(labels.max())}"
        )
    return scores_BC
