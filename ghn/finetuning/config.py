"""How a single network is trained.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3): SGD with the best of several learning rates, from parameters to
which a little noise is added, as tiled copies of a kernel would otherwise stay equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ghn.common.settings import POSITIVE, SHARE, at_least
from ghn.data.augment import Policy
from ghn.training.config import TrainingConfig

LEARNING_RATES = (0.4, 0.1, 0.04, 0.01, 0.001)
"""Of SGD."""

ADAPTIVE_LEARNING_RATES = (0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Of optimisers that scale the step of each parameter by themselves."""

MOST_HELD_OUT = 5000
"""Training images that are held out where the configuration leaves it open."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """A fine-tuning, besides what every training has: several trainings from one start, the best of which is kept.

    Attributes:
        data: Name of a data set (cifar10, cifar100, digits, imagenet), or a folder of <class>/*.jpg, or of train/ and
            test/ (or val/) that hold these; of a folder without test images a fifth becomes them. `webdataset:PLACE`
            for shards, see `ghn.data.load.load_shards`.
        data_root: Folder that holds named data sets; None for the default.
        image_size: Side in pixels that images get; None for a data set's own, 224 for folders.
        batch_size: Images in a step.
        hold_out: Training images held out, on which the learning rate is chosen; None for a tenth, at most 5,000. With
            0 the rate is chosen by the training loss over the last tenth of the steps.
        few_shot: Training images that are kept of the others, the classes as equally often as can be; None for all.
        augment: Of training images. `crop`: random crops and mirroring, of folders also of size and colour;
            `randaugment` and `trivialaugment`: these policies of torchvision after crops and mirroring; or `none`.
        mixup: α of mixup (Zhang et al., ICLR 2018), 0 for none; with cutmix each step takes one of both at random.
        cutmix: α of CutMix (Yun et al., ICCV 2019), 0 for none.
        test_images: Most test images of an evaluation, in a random order that is always the same; None for all.
        image_workers: Processes that decode images of folders.
        skip_damaged: Damaged images of folders and shards that are passed over, each with a warning that names
            it.
        init: The start, a chain as `ghn.initializers.create` takes it; None for the network as it is.
        init_images: Training images that the start may use.
        epochs: Passes over the training images; parts of one are allowed.
        learning_rates: Each is tried from the same start; the best on held-out images is kept. The `learning_rate` of
            the training under way is one of them. None for those of `ghn.finetuning.config`, by the optimiser.
        noise: β, standard deviation of what is added to every parameter before the training.
        steps: Steps of each training instead of `epochs`; 0 for as many as these make.
        validate_every: Steps between evaluations on held-out and test images, besides those at the start and the end;
            0 for these only.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset(
        {"save_every", "log_every", "validate_every", "max_nonfinite", "minutes", "data_root", "image_workers"}
        | {"skip_damaged"}
    )

    data: str = "digits"
    data_root: str | None = None
    image_size: int | None = field(default=None, metadata=at_least(1))
    batch_size: int = field(default=64, metadata=at_least(1))
    hold_out: int | None = field(default=None, metadata=at_least(0))
    few_shot: int | None = field(default=None, metadata=at_least(1))
    augment: Policy = "crop"
    mixup: float = field(default=0.0, metadata=at_least(0))
    cutmix: float = field(default=0.0, metadata=at_least(0))
    test_images: int | None = field(default=None, metadata=at_least(1))
    image_workers: int = field(default=0, metadata=at_least(0))
    skip_damaged: int = field(default=0, metadata=at_least(0))
    init: str | None = None
    init_images: int = field(default=512, metadata=at_least(1))
    epochs: float = field(default=1.0, metadata=POSITIVE)
    learning_rates: tuple[float, ...] | None = field(default=None, metadata=POSITIVE)
    noise: float = field(default=1e-5, metadata=at_least(0))
    steps: int = field(default=0, metadata=at_least(0))
    optimizer: str = "sgd"
    weight_decay: float = field(default=3e-5, metadata=at_least(0))
    warmup: float = field(default=0.0, metadata=SHARE)
    max_nonfinite: int = field(default=1, metadata=at_least(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learning_rates is not None and not self.learning_rates:
            raise ValueError("learning_rates must be at least one")

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates that are tried."""
        if self.learning_rates is not None:
            # One that is named twice is one training.
            return tuple(dict.fromkeys(self.learning_rates))
        return LEARNING_RATES if self.optimizer == "sgd" else ADAPTIVE_LEARNING_RATES

    def held_out(self, images: int) -> int:
        """How many of so many training images are held out."""
        return min(MOST_HELD_OUT, images // 10) if self.hold_out is None else self.hold_out
