"""What a meta-training run is made of.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4 and appendix), GHN-2 (Knyazev et al., NeurIPS 2021, appendix).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ghn.common.settings import POSITIVE, at_least
from ghn.deepnets import Space
from ghn.hypernet.config import GHNConfig
from ghn.meta.initial import Initialization
from ghn.training.config import TrainingConfig

VALIDATION_BATCH = 64
"""Images in a batch, and so of its statistics, in validation (as in the evaluation protocol)."""

VALIDATION_BATCHES = 4


@dataclass(frozen=True, kw_only=True)
class MetaTrainingConfig(TrainingConfig):
    """A meta-training run: hypernetwork, data and space of target networks, besides what every training has.

    Attributes:
        hypernet: The hypernetwork's architecture.
        start_from: A hypernetwork whose weights the run starts from, a name or folder as `ghn.from_pretrained` takes;
            None for fresh weights.
        data: Name of the image data set (see `ghn.data`).
        data_root: Folder that holds it; None for the default.
        image_size: Side of the target networks' input in pixels: 32 or 224.
        hold_out: Training images held out for validation; with 0 as many as it needs, where there is one.
        few_shot: Training images that are kept of the others, the classes as equally often as can be; None for all.
        space: The target networks.
        meta_batch: m, target networks in a step, over all ranks.
        images: Images that a network sees in a step.
        shared_images: All networks of a step see the same images, as published; otherwise each has its own, which
            makes the gradient less noisy at no cost but that of loading.
        accumulate: Networks whose parameters are predicted at a time on one rank; None for all. Fewer save memory,
            the gradient is the same.
        penalty: γ of eq. 10, weight of the sum of the predicted tensors' norms.
        penalty_form: `norm` (eq. 10) or `squared` (table 5).
        initialization: Scale of the weights that a fresh hypernetwork predicts: `published`, or `variance`, that of the
            target networks' own initialisation (see `ghn.meta.initial`).
        inner_steps: k, steps of SGD on a network's predicted weights, after which its loss counts too (first-order
            MAML, Finn et al., ICML 2017). The images of a step are split into k + 1 parts, so that it costs the same;
            0 for eq. 10 alone.
        inner_rate: Learning rate of these steps.
        inner_share: λ, weight of the loss after them; that of the loss before is 1 - λ.
        weight_noise: Standard deviation of noise on predicted weights while training, over each tensor's root mean
            square; 0 for none.
        augment: Random crops and mirroring.
        cudnn_depthwise: Depthwise convolutions on CUDA through cuDNN, which compiles each new shape for over a second.
        validation_networks: Networks of the split `val` in an evaluation on held-out images.
        adapt_steps: Steps of SGD on these networks, after which they are evaluated too, from predicted weights and from
            random ones; 0 for no such evaluation.
        adapt_rates: Learning rates of these steps; each start has its best.
        select_by: Which validation decides on the weights that are kept as the best of the run: `accuracy`, or
            `adapted`, that after `adapt_steps`; None keeps none.
        workers: Processes that prepare networks and graphs; 0 prepares them in the training process.
        image_workers: Processes that decode images of folders (small data sets need none).
        skip_damaged: Damaged training images of folders and shards that are passed over, each with a warning that names
            it.

    The decoders and the networks' classifiers are float32 whatever the precision.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = TrainingConfig.FREE_TO_CHANGE | {
        "data_root",
        "validation_networks",
        "workers",
        "image_workers",
        "skip_damaged",
        "accumulate",
        "shared_images",
        "cudnn_depthwise",
        "adapt_steps",
        "adapt_rates",
    }

    hypernet: GHNConfig = field(default_factory=lambda: GHNConfig.preset("ghn3-t", num_classes=10))
    start_from: str | None = None
    data: str = "digits"
    data_root: str | None = None
    image_size: int = field(default=32, metadata=at_least(1))
    hold_out: int = field(default=0, metadata=at_least(0))
    few_shot: int | None = field(default=None, metadata=at_least(1))
    space: Space = field(default_factory=Space)
    meta_batch: int = field(default=8, metadata=at_least(1))
    images: int = field(default=128, metadata=at_least(1))
    shared_images: bool = True
    accumulate: int | None = field(default=None, metadata=at_least(1))
    penalty: float = field(default=3e-5, metadata=at_least(0))
    penalty_form: Literal["norm", "squared"] = "norm"
    initialization: Initialization = "published"
    inner_steps: int = field(default=0, metadata=at_least(0))
    inner_rate: float = field(default=0.05, metadata=POSITIVE)
    inner_share: float = field(default=0.5, metadata=at_least(0))
    weight_noise: float = field(default=0.0, metadata=at_least(0))
    augment: bool = True
    cudnn_depthwise: bool = False
    validation_networks: int = field(default=8, metadata=at_least(1))
    adapt_steps: int = field(default=0, metadata=at_least(0))
    adapt_rates: tuple[float, ...] = field(default=(0.01, 0.1), metadata=POSITIVE)
    select_by: Literal["accuracy", "adapted"] | None = None
    workers: int = field(default=0, metadata=at_least(0))
    image_workers: int = field(default=0, metadata=at_least(0))
    skip_damaged: int = field(default=0, metadata=at_least(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_share > 1:
            raise ValueError(f"inner_share is a share, 0 <= inner_share <= 1, not {self.inner_share:g}")
        if self.images < 2 * (self.inner_steps + 1) and self.inner_steps:
            raise ValueError(
                f"{self.inner_steps} inner steps need at least {2 * (self.inner_steps + 1)} images, two for each part; "
                f"raise images ({self.images}) or lower inner_steps"
            )
        if self.select_by == "adapted" and not self.adapt_steps:
            raise ValueError("select_by is 'adapted', but adapt_steps is 0; set it, e.g. to 24")
        if self.select_by and not self.validate_every:
            raise ValueError(f"select_by is {self.select_by!r}, but nothing is validated; set validate_every")
        if self.adapt_steps and not self.adapt_rates:
            raise ValueError("adapt_rates is empty; give at least one learning rate, or set adapt_steps to 0")

    @property
    def held_out(self) -> int:
        """Training images that are held out."""
        return self.hold_out or (VALIDATION_BATCH * VALIDATION_BATCHES if self.validate_every else 0)

    def identity(self) -> dict[str, Any]:
        """As in `TrainingConfig`; what validation needs is held out, and must stay so."""
        values = super().identity()
        del values["hold_out"]
        return values | {"held_out": self.held_out}
