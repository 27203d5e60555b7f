"""What a meta-training run is made of.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4 and appendix), GHN-2 (Knyazev et al., NeurIPS 2021, appendix).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ghn.deepnets import Space
from ghn.hypernet.config import GHNConfig
from ghn.training.precision import Precision

VALIDATION_BATCH = 64
"""Images in a batch, and so of its statistics, in validation (as in the evaluation protocol)."""

VALIDATION_BATCHES = 4

AT_LEAST: Mapping[str, int] = {
    **dict.fromkeys(("meta_batch", "images", "image_size", "steps", "save_every", "log_every", "max_nonfinite"), 1),
    **dict.fromkeys(("accumulate", "few_shot", "validation_networks"), 1),
    **dict.fromkeys(("hold_out", "validate_every", "workers", "image_workers", "seed", "penalty", "weight_decay"), 0),
}
"""Least values of fields."""


@dataclass(frozen=True, kw_only=True)
class MetaTrainingConfig:
    """A meta-training run: hypernetwork, data, space of target networks, optimiser and schedule.

    Attributes:
        hypernet: The hypernetwork's architecture.
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
    few_shot: int | None = None
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
        for name, kind in get_type_hints(type(self)).items():
            _check_type(name, getattr(self, name), kind)
        for name, least in AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        for name in ("learning_rate", "clip", "minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is a share, 0 <= {name} < 1, not {getattr(self, name)}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers, 0 <= beta < 1, not {self.betas}")
        if self.seed >= 2**31:
            raise ValueError(f"seed must be below 2^31, not {self.seed}")

    @property
    def held_out(self) -> int:
        """Training images that are held out."""
        return self.hold_out or (VALIDATION_BATCH * VALIDATION_BATCHES if self.validate_every else 0)

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


def _check_type(name: str, value: Any, kind: Any) -> None:
    """JSON and YAML files hold strings where numbers are meant, and True counts as an int."""
    options = get_args(kind)
    if get_origin(kind) is Literal:
        if value not in options:
            raise ValueError(f"{name} must be {', '.join(options[:-1])} or {options[-1]}, not {value!r}")
    elif type(None) in options:
        if value is not None:
            _check_type(name, value, options[0])
    elif get_origin(kind) is tuple:
        if not (isinstance(value, tuple) and len(value) == len(options)):
            raise ValueError(f"{name} must be {len(options)} values, not {value!r}")
        for entry, option in zip(value, options, strict=True):
            _check_type(name, entry, option)
    elif kind is float:
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value!r}")
    elif type(value) is not kind:
        raise ValueError(f"{name} must be of type {kind.__name__}, not {value!r}")


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
