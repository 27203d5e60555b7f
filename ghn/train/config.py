"""What a meta-training run is made of.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4 and appendix), GHN-2 (Knyazev et al., NeurIPS 2021, appendix).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal

from ghn.deepnets import Space
from ghn.hypernet.config import GHNConfig

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class MetaTrainingConfig:
    """A meta-training run: hypernetwork, data, space of target networks, optimiser and schedule.

    Attributes:
        hypernet: The hypernetwork's architecture.
        data: Name of the image data set (see `ghn.data`).
        data_root: Folder that holds it; None for the default.
        image_size: Side of the target networks' input in pixels: 32 or 224.
        hold_out: Training images held out for validation.
        space: The target networks.
        meta_batch: m, target networks in a step, over all ranks.
        images: Images that a network sees in a step.
        shared_images: All networks of a step see the same images, as published; otherwise each has its own, which
            makes the gradient less noisy at no cost but that of loading.
        accumulate: Networks whose parameters are predicted at a time on one rank; None for all. Fewer save memory,
            the gradient is the same.
        steps: Steps of the run; with `minutes` the most there will be.
        minutes: Length of the run in minutes of wall time, resumed parts added; the schedule then follows the clock.
        optimizer: `adamw` (decoupled weight decay) or `adam`.
        learning_rate: Peak of the schedule.
        weight_decay: Of the hypernetwork's parameters.
        betas: Of the optimiser.
        warmup: Share of the run over which the learning rate rises linearly.
        schedule: After warm-up: `cosine` to zero, or `steps` (divided by ten at 2/3 and 5/6 of the run, as GHN-2).
        clip: Largest Euclidean norm of the gradient; greater ones are scaled down to it.
        label_smoothing: Of the cross-entropy.
        penalty: γ of eq. 10, weight of the sum of the predicted tensors' norms.
        penalty_form: `norm` (eq. 10) or `squared` (table 5).
        precision: Arithmetic of target networks and the encoder; decoders and classifiers are float32 in any case.
        augment: Random crops and mirroring.
        seed: Governs fresh weights, networks, images and augmentation.
        save_every: Steps between saves of the state.
        log_every: Steps between lines of the log.
        validate_every: Steps between evaluations on held-out images and networks; 0 for never.
        validation_networks: Networks of the split `val` in such an evaluation.
        max_nonfinite: Non-finite steps in a row that end the run.
        workers: Processes that prepare networks and graphs; 0 prepares them in the training process.
        image_workers: Processes that decode images of folders (small data sets need none).
    """

    hypernet: GHNConfig = field(default_factory=lambda: GHNConfig.preset("ghn3-t", num_classes=10))
    data: str = "digits"
    data_root: str | None = None
    image_size: int = 32
    hold_out: int = 0
    space: Space = field(default_factory=Space)
    meta_batch: int = 8
    images: int = 128
    shared_images: bool = True
    accumulate: int | None = None
    steps: int = 1000
    minutes: float | None = None
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: float = 4e-4
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.02
    schedule: Literal["cosine", "steps"] = "cosine"
    clip: float = 5.0
    label_smoothing: float = 0.0
    penalty: float = 3e-5
    penalty_form: Literal["norm", "squared"] = "norm"
    precision: Precision = "float32"
    augment: bool = True
    seed: int = 0
    save_every: int = 200
    log_every: int = 10
    validate_every: int = 0
    validation_networks: int = 8
    max_nonfinite: int = 50
    workers: int = 0
    image_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("meta_batch", "images", "steps", "save_every", "log_every", "max_nonfinite"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if self.accumulate is not None and self.accumulate < 1:
            raise ValueError(f"accumulate must be at least 1 network, not {self.accumulate}; leave it out for all")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be positive, not {self.minutes}; leave it out to go by steps")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the run, 0 <= warmup < 1, not {self.warmup}")
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"precision must be float32, bfloat16 or float16, not {self.precision!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved beside every result."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MetaTrainingConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: For a name that is no field.
        """
        return _from_dict(cls, values)


_NESTED = {"hypernet": GHNConfig, "space": Space}


def _from_dict(cls: Any, values: Mapping[str, Any]) -> Any:
    known = {entry.name for entry in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{cls.__name__} has no field {unknown[0]!r}; the run was saved by another version of ghn")
    converted = {}
    for name, value in values.items():
        if name in _NESTED and not is_dataclass(value):
            value = _from_dict(_NESTED[name], value)
        converted[name] = tuple(value) if isinstance(value, list) else value
    return cls(**converted)
