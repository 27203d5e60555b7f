"""How a single network is trained.

Source: GHN-3 (Knyazev et al., ICML 2023, section 4.3): SGD with the best of several learning rates, from parameters to
which a little noise is added, as tiled copies of a kernel would otherwise stay equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ghn.common.settings import POSITIVE, SHARE, at_least
from ghn.training.config import TrainingConfig
from ghn.training.optimizer import Optimizer

LEARNING_RATES = (0.4, 0.1, 0.04, 0.01, 0.001)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainingConfig):
    """A fine-tuning, besides what every training has: several trainings from one start, the best of which is kept.

    Attributes:
        epochs: Passes over the training images; parts of one are allowed.
        learning_rates: Each is tried from the same start; the best on held-out images is kept. The `learning_rate` of
            the training under way is one of them.
        noise: β, standard deviation of what is added to every parameter before the training.
        steps: Steps of each training instead of `epochs`; 0 for as many as these make.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset(
        {"save_every", "log_every", "validate_every", "max_nonfinite", "minutes"}
    )

    epochs: float = field(default=1.0, metadata=POSITIVE)
    learning_rates: tuple[float, ...] = field(default=LEARNING_RATES, metadata=POSITIVE)
    noise: float = field(default=1e-5, metadata=at_least(0))
    steps: int = field(default=0, metadata=at_least(0))
    optimizer: Optimizer = "sgd"
    weight_decay: float = field(default=3e-5, metadata=at_least(0))
    warmup: float = field(default=0.0, metadata=SHARE)
    max_nonfinite: int = field(default=1, metadata=at_least(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.learning_rates:
            raise ValueError("learning_rates must be at least one")
