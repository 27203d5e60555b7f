"""Statistics of batch norms, which nothing predicts: set from images, and which norms need them.

Legend: B images, H rows, W columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.memory import is_out_of_memory
from ghn.common.modules import modes_kept, named_buffers, named_modules, named_parameters
from ghn.common.private_torch import is_batch_norm
from ghn.common.text import shown
from ghn.data.augment import normalise, resized
from ghn.data.image_set import ImageSet
from ghn.graph.run.arguments import Inputs, given_inputs
from ghn.graph.run.inputs import candidate_inputs
from ghn.graph.run.process import compiled_parts_eager, process_untouched

Size = tuple[int, int]
"""H, W in pixels."""

MOST_IN_BATCH = 64 * 64 * 96 * 96
"""Elements of a batch before a batch norm, 150 MB: a network has a few such tensors at a time."""

MOST_IN_ALL = 1 << 26
"""Elements of all images before a batch norm, some seconds of work: 20 images of 224 pixels in VGG-16."""

FEWEST = 8
"""Images, in a batch and in all, whatever they take: statistics of fewer are none."""

JOINED = 64
"""Images in a batch that is put together of smaller ones."""

OTHER_SIZES = 3
"""Sizes to try where a model does not take images at their own."""


class _TooMuchError(Exception):
    """Running a model would take too long, whatever the size of the images."""


@dataclass(frozen=True, kw_only=True)
class StatisticsReport:
    """Which statistics were set, and from what; `print(report)` is a line.

    Attributes:
        changed: Names of the buffers that were set.
        norms: Number of batch norms that have new statistics.
        images: Number of images they come from.
        data: The data set whose images these are; None where there are none.
        size: Height and width in pixels at which the model saw them; None where it did not.
        reason: Why nothing was set; None where something was.
    """

    changed: tuple[str, ...] = ()
    norms: int = 0
    images: int = 0
    data: str | None = None
    size: Size | None = None
    reason: str | None = None

    def __str__(self) -> str:
        if self.reason is not None or self.size is None:
            return f"batch-norm statistics stay: {self.reason}"
        return (
            f"{self.norms} batch norms have statistics from {self.images} images of {self.data}, "
            f"{self.size[1]}×{self.size[0]} pixels"
        )


def statistics_from(model: nn.Module, images: ImageSet | None, example_inputs: Any = None) -> StatisticsReport:
    """Set the statistics of batch norms in place from some images, where the model takes these.

    They are shown at the size of the example inputs; without any at their own, or, where the model does not take that,
    at one that its configuration or its first layer suggests.

    Args:
        model: With storage. Its modes, parameters and the process's random state stay.
        images: Where the statistics come from; None says in the report that there are none.
        example_inputs: What the model is called with, as in `ghn.trace`.

    Returns:
        What was set, or why nothing was: a model that cannot be run on these images stays as it is.
    """
    if not norms_with_statistics(model):
        return StatisticsReport(reason="the model has no batch norm that keeps any")
    if images is None:
        return StatisticsReport(reason="the hypernetwork brings no images along")
    sizes = _sizes(model, images, example_inputs)
    if not sizes:
        return StatisticsReport(reason="the model is not called with RGB images", data=images.name)
    fault = ""
    for size in sizes:
        try:
            batches = _batches(model, images, size)
            changed = set_statistics(model, batches)
        except _TooMuchError as error:
            return StatisticsReport(
                reason=f"the model is not run on images of {images.name} ({error})", data=images.name
            )
        except Exception as error:  # whatever a model of others raises
            told = "there is not enough memory" if is_out_of_memory(error) else " ".join(str(error).split())
            fault = fault or shown(told or type(error).__name__, 160)
        else:
            return StatisticsReport(
                changed=tuple(changed),
                norms=len(changed) // 2,
                images=sum(len(labels) for _, labels in batches),
                data=images.name,
                size=size,
            )
    return StatisticsReport(reason=f"the model does not run on images of {images.name} ({fault})", data=images.name)


def norms_with_statistics(model: nn.Module) -> dict[str, Any]:
    """Batch norms that normalise by running statistics in evaluation mode, by name."""
    return {
        name: module
        for name, module in named_modules(model)
        if is_batch_norm(module) and module.track_running_stats and module.running_mean is not None
    }


@torch.no_grad()
def set_statistics(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> list[str]:
    """Let running means and variances of batch norms be the averages over batches; returns the buffers' names.

    While they are computed every batch norm normalises by the batch, and nothing else is in training mode: what is
    dropped at random is dropped in training only, where statistics are not used.

    Args:
        model: Changed in place.
        batches: Images (B, 3, H, W) with labels, which are not looked at.

    Raises:
        ValueError: If a statistic is not finite, as where images or weights are not, or activations overflow; the
            model then stays as it is.
    """
    norms = norms_with_statistics(model)
    if not norms:
        return []
    momenta = {module: module.momentum for module in norms.values()}
    device = device_of(model)
    shown_ones = _with_variance([images for images, _ in batches])
    with running(model, training=False):
        for module in norms.values():
            module.reset_running_stats()
            module.train()
        try:
            seen = 0
            for images in shown_ones:
                seen += len(images)
                for module in norms.values():
                    # The average over all images so far.
                    module.momentum = len(images) / seen
                model(images.to(device))
        finally:
            for module, momentum in momenta.items():
                module.momentum = momentum
        # Those of a head that only training uses saw nothing, and keep what they have.
        own = {
            f"{name}.{part}" if name else part
            for name, module in norms.items()
            for part in ("running_mean", "running_var", "num_batches_tracked")
            if module.num_batches_tracked
        }
        computed = {name: buffer.clone() for name, buffer in named_buffers(model).items() if name in own}
    for name, value in computed.items():
        if not bool(value.isfinite().all()):
            raise ValueError(f"what the model computes of the images is not finite, which {name} would be neither")
    buffers = named_buffers(model)
    for name, value in computed.items():
        buffers[name].copy_(value)
    return sorted(name for name in computed if not name.endswith("num_batches_tracked"))


def _with_variance(batches: Sequence[Tensor]) -> list[Tensor]:
    """Batches of more than one image: a single one has no variance, and joins the others."""
    if all(len(images) > 1 for images in batches):
        return list(batches)
    if len({images.shape[1:] for images in batches}) > 1:
        return [images for images in batches if len(images) > 1]
    together = torch.cat(list(batches))
    most = max(JOINED, *(len(images) for images in batches))
    return list(together.chunk(max(1, math.ceil(len(together) / most)))) if len(together) > 1 else []


@contextmanager
def running(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Context in which a model may be run: modes, buffers and random states are as before after it."""
    buffers = {buffer: buffer.detach().clone() for buffer in named_buffers(model).values()}
    devices = sorted({parameter.get_device() for parameter in model.parameters() if parameter.is_cuda})
    with torch.random.fork_rng(devices=devices), modes_kept(model):
        try:
            model.train(training)
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers.items():
                    buffer.copy_(before)


@contextmanager
def as_trained(model: nn.Module, seed: int = 0, *, batch_statistics: bool = True) -> Iterator[None]:
    """Context in which a model runs as it is trained, but with nothing dropped.

    Batch norms normalise by the batch, all else is in evaluation mode, layer by layer: attention is not run as one
    operator that hides its layers. Gradients are on. Modes, buffers and what is the process's (see
    `process_untouched`) are as before after it.

    Args:
        model: To run.
        seed: Governs what it draws.
        batch_statistics: Whether batch norms normalise by the batch, or by their running statistics.
    """
    with process_untouched(), running(model, training=False), compiled_parts_eager(), torch.enable_grad():
        torch.backends.mha.set_fastpath_enabled(False)
        for module in norms_with_statistics(model).values():
            module.train(batch_statistics)
        torch.manual_seed(seed)
        yield


def device_of(model: nn.Module) -> torch.device:
    """Where the model's first parameter is."""
    return next(iter(named_parameters(model).values())).device


def _sizes(model: nn.Module, images: ImageSet, example_inputs: Any) -> list[Size]:
    """The sizes to show the images at, the likeliest first; none where the model is not called with images."""
    if example_inputs is not None:
        return [size for size in [_size_of(given_inputs(example_inputs))] if size]
    others = [_size_of(inputs) for inputs in candidate_inputs(model)]
    own = tuple(images.images.shape[-2:])
    return [(own[0], own[1]), *[size for size in dict.fromkeys(others) if size and size != own][:OTHER_SIZES]]


def _size_of(inputs: Inputs) -> Size | None:
    """Height and width of the RGB images that a model is called with; None where that is anything else."""
    if len(inputs.args) != 1 or inputs.kwargs:
        return None
    (given,) = inputs.args
    if not isinstance(given, Tensor) or given.dim() != 4 or given.shape[1] != 3 or not given.is_floating_point():
        return None
    return int(given.shape[2]), int(given.shape[3])


def _batches(model: nn.Module, images: ImageSet, size: Size) -> list[tuple[Tensor, Tensor]]:
    """The images as the model takes them, all of them where that is no great work, in as few batches as fit."""
    kinds = [kind.dtype for kind in named_parameters(model).values() if kind.is_floating_point()]

    def taken(chosen: Tensor) -> Tensor:
        pixels = normalise(images.images[chosen], images)
        return resized(pixels, size).to(device_of(model), kinds[0] if kinds else torch.float32)

    elements = max(1, _most_elements(model, taken(torch.arange(2))))
    count = min(len(images), MOST_IN_ALL // elements)
    if count < min(FEWEST, len(images)):
        # Detectors enlarge images by themselves.
        raise _TooMuchError(f"it makes {elements:,} numbers of each, which takes too long")
    pieces = -(-count // min(count, max(FEWEST, MOST_IN_BATCH // elements)))
    # Data sets come class by class, and each batch is to have some of all.
    spread = torch.linspace(0, len(images) - 1, count).round().long()
    return [(taken(spread[piece::pieces]), images.labels[spread[piece::pieces]]) for piece in range(pieces)]


@torch.no_grad()
def _most_elements(model: nn.Module, images: Tensor) -> int:
    """Elements of an image's features before the batch norm where these are most."""
    seen = [0]

    def look(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen[0] = max(seen[0], given[0].numel() // len(images))

    handles = [norm.register_forward_pre_hook(look) for norm in norms_with_statistics(model).values()]
    try:
        with running(model, training=False):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen[0]
