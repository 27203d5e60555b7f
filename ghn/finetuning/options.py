"""The settings of a fine-tuning as keywords, for type checkers; `FinetuneConfig` says what they mean."""

from __future__ import annotations

from typing import TypedDict

from ghn.data.augment import Policy
from ghn.training.precision import Precision
from ghn.training.schedule import Schedule


class FinetuneOptions(TypedDict, total=False):
    """Fields of `FinetuneConfig` but for `data`, each of which may be left out."""

    steps: int
    minutes: float | None
    optimizer: str
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float]
    momentum: float
    warmup: float
    schedule: Schedule
    clip: float | None
    average: float | None
    label_smoothing: float
    precision: Precision
    seed: int
    save_every: int
    log_every: int
    validate_every: int
    max_nonfinite: int
    data_root: str | None
    image_size: int | None
    batch_size: int
    hold_out: int | None
    few_shot: int | None
    augment: Policy
    mixup: float
    cutmix: float
    test_images: int | None
    image_workers: int
    skip_damaged: int
    init: str | None
    init_images: int
    epochs: float
    learning_rates: tuple[float, ...] | None
    noise: float
