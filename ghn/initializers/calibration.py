"""Make a start usable at once, by a few hundred images, without training.

Copies that a hypernetwork tiled are parted, activations that explode or vanish get unit variance, batch norms
get their statistics, and the head is solved in closed form.

Legend: B images, C classes, d features.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.batch_norm import device_of, running, set_statistics
from ghn.common.modules import check_module, named_parameters
from ghn.common.text import printable
from ghn.graph.computational_graph import Role
from ghn.graph.record.trees import output_tensors
from ghn.initializers.layers import Layer, layers_of
from ghn.initializers.lsuv import tame
from ghn.initializers.noise import part_copies
from ghn.initializers.report import Batch, StartReport, some_images
from ghn.initializers.ridge import fit_ridge, held_out
from ghn.initializers.watch import first_use

NOISE = 0.3
"""Of each tensor's deviation: three tenths cost no accuracy at once (ResNet-18, DenseNet-121, MobileNetV3)."""

FEWEST = 16
"""Images without which neither statistics nor a head mean anything."""


WITH_NAN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Calibrate:
    """A step of a chain, see `calibrate`: `+calibrate`, or `+statistics`, for which images need no labels.

    Args:
        head: Whether to do all that `calibrate` does, and not the statistics alone.
    """

    needs_images = FEWEST

    def __init__(self, *, head: bool) -> None:
        self.head = head
        self.name = "calibrate" if head else "statistics"

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Calibrate."""
        given = () if batches is None else batches
        if self.head:
            return calibrate(model, given, seed=seed)
        return replace(calibrate(model, given, noise=0.0, variance=False, head=False, seed=seed), name=self.name)


def calibrate(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    noise: float = NOISE,
    variance: bool = True,
    statistics: bool = True,
    head: bool = True,
    seed: int = 0,
) -> StartReport:
    """Fit to images what can be fitted without training, in place.

    In this order: noise on weights in which channels are copies of each other, which would learn the same forever; unit
    variance of what layers compute where it explodes or vanishes; batch-norm statistics, which no hypernetwork
    predicts, as averages over the images (without them a predicted network is near chance in evaluation mode); and the
    classification head by ridge regression on the features before it, unless the head that is there does better on a
    fifth of the images. A model without copies whose activations are sound, such as a trained one, gets the last two.

    Args:
        model: The model; its mode, gradients and the process's random state stay.
        batches: Images (B, 3, H, W) and labels (B,) int64, a few hundred in all; iterated over once, and held.
        noise: Its deviation, as a factor on that of each weight that holds copies; 0 for none.
        variance: Bring activations to unit variance where theirs is under 1e-4 or over 1e4.
        statistics: Set the running statistics of batch norms.
        head: Solve the classification head.
        seed: Governs the noise, and which images judge the head.

    Returns:
        What was set, and why not what was not.

    Raises:
        ValueError: If there are fewer than 16 images, or labels that the model has no output for; if images or weights
            hold NaN, or there are none, or a batch norm's statistics would not be finite.
    """
    began = time.perf_counter()
    check_module(model)
    given = some_images(list(batches), FEWEST, "calibrate")
    _check_numbers(model)
    if head and any(labels.is_floating_point() for _, labels in given):
        raise ValueError("a head is solved for labels that are whole numbers (B,); without head=True shares will do")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is a factor of 0 or more, not {noise:g}")
    changed, notes = _sound_weights(model, given, noise=noise, variance=variance, seed=seed)
    if statistics:
        found = set_statistics(model, given)
        changed += found
        notes.append(f"{len(found) // 2} batch norms have new statistics" if found else "it has no batch norm to set")
    if head:
        names, line = solve_head(model, given, seed=seed)
        changed += names
        notes.append(line)
    return StartReport(
        name="calibrate",
        changed=tuple(dict.fromkeys(changed)),
        seconds=time.perf_counter() - began,
        notes=tuple(notes),
    )


def _check_numbers(model: nn.Module) -> None:
    """Refuse a model without numbers, or with NaN in place of one."""
    for name, weight in named_parameters(model).items():
        if is_lazy(weight) or weight.is_meta:
            raise ValueError(f"{printable(name)} of the model has no numbers; build it on a device, and run it once")
        if weight.dtype in WITH_NAN and bool(weight.isnan().any()):
            raise ValueError(f"{printable(name)} of the model holds NaN: there is nothing to calibrate")


def _sound_weights(
    model: nn.Module, batches: Sequence[Batch], *, noise: float, variance: bool, seed: int
) -> tuple[list[str], list[str]]:
    """Part copies and tame activations; names of the weights that changed, and what there is to say."""
    if not noise and not variance:
        return [], []
    layers = layers_of(model, batches)
    changed = part_copies(layers, noise, seed=seed) if noise else []
    notes = [f"noise of {noise:g} deviations on {len(changed)} weights with copies"] if changed else []
    if variance:
        tamed, lines = tame(model, layers, batches[0][0].to(device_of(model)), seed=seed)
        changed, notes = changed + tamed, notes + lines
    return changed, notes


@torch.no_grad()
def solve_head(model: nn.Module, batches: Sequence[Batch], *, seed: int = 0) -> tuple[list[str], str]:
    """Replace the classification head by ridge regression; returns names of what was set, and what there is to say."""
    layers = layers_of(model, batches)
    heads = [layer for layer in layers.weights if layer.spec.head]
    if len(heads) != 1:
        return [], f"the head stays: the model has {len(heads)} heads" if heads else "the model has no head to solve"
    (head,) = heads
    bias = next((name for name, spec in layers.graph.parameters.items() if spec.head and spec.role is Role.BIAS), None)
    classes = len(head.weight)
    labels_n = torch.cat([labels for _, labels in batches])
    if not 0 <= int(labels_n.min()) <= int(labels_n.max()) < classes:
        raise ValueError(f"the model has {classes} outputs, and the images have labels up to {int(labels_n.max())}")
    features_nd = _features(model, head, batches)
    if features_nd is None:
        return [], f"the head stays: {head.name} does not act on one vector of features an image"
    if not bool(features_nd.isfinite().all()):
        return [], "the head stays: the features before it are not finite"
    labels_n = labels_n.to(features_nd.device)
    fitted = fit_ridge(features_nd, labels_n, classes, intercept=bias is not None, seed=seed)
    before = _accuracy_before(model, batches, seed)
    if before >= fitted.accuracy:
        return [], f"the head stays: {before:.3f} of held-out images right, {fitted.accuracy:.3f} by ridge regression"
    parameters = named_parameters(model)
    head.weight.copy_(fitted.weight.view(head.weight.shape))
    changed = [head.name]
    if bias is not None:
        parameters[bias].copy_(fitted.bias.view(parameters[bias].shape))
        changed.append(bias)
    return changed, (
        f"head by ridge regression on {features_nd.shape[1]} features of {len(labels_n)} images, λ {fitted.penalty:g}: "
        f"{fitted.accuracy:.3f} of held-out images right, {before:.3f} before"
    )


def _features(model: nn.Module, head: Layer, batches: Sequence[Batch]) -> Tensor | None:
    """What the head is applied to, (n, d); None where that is no vector for each image."""
    device, found = device_of(model), []
    with running(model, training=False):
        for images, _ in batches:
            seen = first_use(model, head.name, images.to(device))
            if seen is None:
                return None
            features = seen[0]
            if features.dim() == 4 and head.weight[0, 0].numel() == 1:
                # Averages of the scores of all positions are scores of the average.
                features = features.mean((2, 3))
            if features.shape != (len(images), head.weight.shape[1]):
                return None
            found.append(features.float())
    return torch.cat(found)


def _accuracy_before(model: nn.Module, batches: Sequence[Batch], seed: int) -> float:
    """Share of the held-out images that the model gets right, in evaluation mode."""
    device = device_of(model)
    with running(model, training=False):
        scores = [model(images.to(device)) for images, _ in batches]
    right = torch.cat(
        [
            output_tensors(given)[0].argmax(-1).cpu() == labels.cpu()
            for given, (_, labels) in zip(scores, batches, strict=True)
        ]
    )
    held, _ = held_out(len(right), seed)
    return float(right[held].double().mean())
