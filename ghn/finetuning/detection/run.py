"""Faster R-CNN with a feature pyramid on a ResNet from a start, trained and tested on Penn-Fudan."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghn.common.optional import require
from ghn.common.progress import Bar
from ghn.data.errors import DataError
from ghn.finetuning.detection.config import DetectionConfig
from ghn.finetuning.detection.penn_fudan import PennFudan, Target
from ghn.finetuning.detection.stepper import Batch, DetectorStepper
from ghn.initializers import create
from ghn.training.loop import Loop
from ghn.training.ranks import Ranks
from ghn.training.signals import StoppedError
from ghn.training.state import locked
from ghn.training.trainer import StepReport, Trainer
from ghn.zoo import ModelRequest, build_model

CLASSES = 2
"""Background and person."""

IOU = 0.5
"""Overlap from which on a box is right."""

CLASSIFIER_SIZE = 224
"""Side in pixels of what a backbone sees as a classifier, which hypernetworks ask for."""


@dataclass(frozen=True, kw_only=True)
class DetectionResult:
    """What came of it.

    Attributes:
        average_precision: At an overlap of 0.5 on the test images, 0..1.
        steps: Of the training.
        losses: Training loss at each step.
        seconds: That the start took.
    """

    average_precision: float
    steps: int
    losses: list[float] = field(repr=False)
    seconds: float = field(default=0.0, compare=False)


def train_detector(
    config: DetectionConfig, folder: Path | None = None, *, device: str = "cpu", quiet: bool = True
) -> DetectionResult:
    """Train a detector whose backbone has its parameters from a start, and test it.

    Args:
        config: How.
        folder: Where states and the log are kept; the same call goes on after it was stopped or killed.
        device: "cpu" or "cuda".
        quiet: No progress bar.

    Raises:
        DataError: When the images are missing or too few.
        ValueError: When there is no such backbone or start, or a library is missing.
        StoppedError: When it was asked to stop; what was done is saved.
        StateError: When the folder holds another training.
    """
    images = PennFudan.open(config.data_root)
    if len(images) <= config.test_images:
        raise DataError(f"Penn-Fudan has {len(images)} images here, and {config.test_images} are to test on")
    precision = _metric()
    count = len(images) - config.test_images
    each = max(1, count // config.batch_size)
    config = replace(config, steps=config.steps or max(1, round(config.epochs * each)))
    with torch.random.fork_rng(devices=[]), locked(folder) if folder is not None else nullcontext():
        torch.manual_seed(config.seed)
        detector, seconds = make_detector(config)
        stepper = DetectorStepper(config, detector.to(device).train(), config.batch_size)
        trainer = Trainer(config, stepper, Ranks(device=torch.device(device)))

        def remember(report: StepReport) -> None:
            stepper.losses.append(report.loss)

        loop = Loop(trainer, folder, bar=Bar(quiet=quiet))
        loop.go(
            lambda first, last: (_batch(images, config, count, step, device) for step in range(first, last)),
            after_step=remember,
        )
        if trainer.progress < 1:
            raise StoppedError(f"stopped after step {trainer.step_count:,}")
        found = _tested(detector.eval(), images, range(count, len(images)), device, precision)
    return DetectionResult(
        average_precision=found, steps=trainer.step_count, losses=list(stepper.losses), seconds=seconds
    )


def make_detector(config: DetectionConfig) -> tuple[nn.Module, float]:
    """The detector with its backbone from the start, and the seconds that this took.

    Raises:
        ValueError: When there is no such backbone or start.
    """
    require("torchvision", "vision", "a detector")
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    if not config.backbone.startswith("resnet"):
        raise ValueError(f"the backbone must be a ResNet of torchvision, e.g. resnet50, not {config.backbone}")
    classifier: Any = build_model(ModelRequest(name=config.backbone, num_classes=config.classes)).model
    shape = torch.zeros(2, 3, CLASSIFIER_SIZE, CLASSIFIER_SIZE), torch.zeros(2, dtype=torch.int64)
    report = create(config.init)(classifier, [shape], seed=config.seed)
    backbone = resnet_fpn_backbone(
        backbone_name=config.backbone, weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=config.trainable
    )
    state = {name: value for name, value in classifier.state_dict().items() if not name.startswith("fc.")}
    backbone.body.load_state_dict(state)
    return FasterRCNN(backbone, CLASSES, min_size=config.image_size, max_size=2 * config.image_size), report.seconds


def _batch(images: PennFudan, config: DetectionConfig, count: int, step: int, device: str) -> Batch:
    """The images of a step: a function of seed and step."""
    each = max(1, count // config.batch_size)
    epoch, place = divmod(step, each)
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    order = torch.randperm(count, generator=generator)[place * config.batch_size :][: config.batch_size].tolist()
    flips = torch.rand(each * config.batch_size, generator=generator)[place * config.batch_size :]
    return [
        _on(device, *_flipped(*images[index], bool(flip < 0.5)))
        for index, flip in zip(order, flips.tolist(), strict=False)
    ]


def _flipped(image: Tensor, target: Target, flip: bool) -> tuple[Tensor, Target]:
    """An image and its boxes, mirrored or not."""
    if not flip:
        return image, target
    x1, y1, x2, y2 = target["boxes"].unbind(dim=1)
    width = image.shape[2]
    return image.flip(2), {**target, "boxes": torch.stack([width - x2, y1, width - x1, y2], dim=1)}


def _on(device: str, image: Tensor, target: Target) -> tuple[Tensor, Target]:
    return image.to(device), {name: value.to(device) for name, value in target.items()}


def _metric() -> Any:
    for library in ("torchmetrics", "pycocotools"):
        require(library, "detection", "average precision")
    from torchmetrics.detection import MeanAveragePrecision

    return MeanAveragePrecision(iou_type="bbox", iou_thresholds=[IOU])


@torch.no_grad()
def _tested(detector: nn.Module, images: PennFudan, which: range, device: str, precision: Any) -> float:
    for index in which:
        image, target = images[index]
        (found,) = detector([image.to(device)])
        precision.update([{name: value.cpu() for name, value in found.items()}], [target])
    return max(0.0, float(precision.compute()["map_50"]))
