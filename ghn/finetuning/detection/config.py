"""How a detector is trained.

Source: PyTorch's tutorial on detection (10 epochs of SGD, batches of 2, the last 50 images to test on), which GHN-3
(Knyazev et al., ICML 2023, table 8) follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ghn.common.settings import POSITIVE, at_least
from ghn.initializers import create
from ghn.training.config import TrainingConfig
from ghn.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class DetectionConfig(TrainingConfig):
    """A training of Faster R-CNN on Penn-Fudan, besides what every training has.

    Attributes:
        data_root: Folder that holds `PennFudanPed/`; None for the default.
        backbone: ResNet of torchvision that the feature pyramid stands on.
        init: The start of the backbone, a chain as `ghn.initializers.create` takes it; the rest is drawn anew.
        classes: Outputs that the backbone has as a classifier, for hypernetworks; its head is left out.
        batch_size: Images in a step.
        epochs: Passes over the training images.
        test_images: The last so many images are tested on.
        image_size: Short side in pixels that images get.
        trainable: Layers of the backbone that are trained, from the last one on, 0..5.
        steps: Of the training instead of `epochs`; 0 for as many as these make.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset(
        {"save_every", "log_every", "validate_every", "max_nonfinite", "minutes", "data_root"}
    )

    data_root: str | None = None
    backbone: str = "resnet50"
    init: str = "default"
    classes: int = field(default=1000, metadata=at_least(1))
    batch_size: int = field(default=2, metadata=at_least(1))
    epochs: float = field(default=10.0, metadata=POSITIVE)
    test_images: int = field(default=50, metadata=at_least(1))
    image_size: int = field(default=800, metadata=at_least(32))
    trainable: int = field(default=5, metadata=at_least(0))
    steps: int = field(default=0, metadata=at_least(0))
    optimizer: str = "sgd"
    learning_rate: float = field(default=0.005, metadata=POSITIVE)
    weight_decay: float = field(default=5e-4, metadata=at_least(0))
    schedule: Schedule = "thirds"
    max_nonfinite: int = field(default=1, metadata=at_least(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if create(self.init).needs_images:
            raise ValueError(f"the start {self.init} needs images with classes, which a detector has none of")
        if self.trainable > 5:
            raise ValueError(f"trainable must be at most 5, not {self.trainable}")
