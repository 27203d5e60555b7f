"""What every training is made of; `MetaTrainingConfig` and `FinetuneConfig` add what they train."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ghn.common.settings import POSITIVE, SHARE, Settings, at_least
from ghn.training.optimizer import check_optimizer
from ghn.training.precision import Precision
from ghn.training.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Settings):
    """Length, optimiser, schedule, and what is saved and logged.

    Attributes:
        steps: Steps of the run; with `minutes` the most there will be.
        minutes: Length of the run in minutes of wall time, resumed parts added; the schedule then follows the clock.
        optimizer: `adamw` (decoupled weight decay), `adam`, `sgd`, or the name of any other in timm's factory (`lamb`,
            `lion`, `lookahead_adamw`, ...).
        learning_rate: Peak of the schedule.
        weight_decay: Of the trained parameters.
        betas: Of adamw, adam and others that have two.
        momentum: Of sgd and others that have one.
        warmup: Share of the run over which the learning rate rises linearly.
        schedule: After warm-up: `cosine` to zero, `steps` (divided by ten at 2/3 and 5/6 of the run, as GHN-2),
            `thirds` (divided by ten at 1/3 and 2/3, as ResNets for 90 epochs), or `constant`.
        clip: Largest Euclidean norm of the gradient; greater ones are scaled down to it. None for no limit.
        average: Decay of an exponential moving average of the weights that is kept beside them; None for none.
        label_smoothing: Of the cross-entropy.
        precision: Arithmetic of the networks.
        seed: Governs all that is drawn.
        save_every: Steps between saves of the state.
        log_every: Steps between lines of the log.
        validate_every: Steps between validations; 0 for never.
        max_nonfinite: Non-finite steps in a row that end the run.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset(
        {"steps", "minutes", "save_every", "log_every", "validate_every", "max_nonfinite"}
        | {"learning_rate", "clip", "precision"}
    )
    """Fields that a resumed run may give other values."""

    steps: int = field(default=1000, metadata=at_least(1))
    minutes: float | None = field(default=None, metadata=POSITIVE)
    optimizer: str = "adamw"
    learning_rate: float = field(default=4e-4, metadata=POSITIVE)
    weight_decay: float = field(default=1e-2, metadata=at_least(0))
    betas: tuple[float, float] = field(default=(0.9, 0.999), metadata=SHARE)
    momentum: float = field(default=0.9, metadata=SHARE)
    warmup: float = field(default=0.02, metadata=SHARE)
    schedule: Schedule = "cosine"
    clip: float | None = field(default=5.0, metadata=POSITIVE)
    average: float | None = field(default=None, metadata=SHARE)
    label_smoothing: float = field(default=0.0, metadata=SHARE)
    precision: Precision = "float32"
    seed: int = field(default=0, metadata=at_least(0))
    save_every: int = field(default=200, metadata=at_least(1))
    log_every: int = field(default=10, metadata=at_least(1))
    validate_every: int = field(default=0, metadata=at_least(0))
    max_nonfinite: int = field(default=50, metadata=at_least(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_optimizer(self.optimizer)
        if self.seed >= 2**31:
            raise ValueError(f"seed must be below 2^31, not {self.seed}")

    def identity(self) -> dict[str, Any]:
        """What must be the same, by name, for a run to go on from a saved state."""
        return {name: value for name, value in self.to_dict().items() if name not in self.FREE_TO_CHANGE}
