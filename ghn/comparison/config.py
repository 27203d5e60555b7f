"""What is compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ghn.common.settings import Settings, at_least
from ghn.finetuning import FinetuneConfig
from ghn.initializers import create


@dataclass(frozen=True, kw_only=True)
class CompareConfig(Settings):
    """Starts of one model, each trained alike from several seeds.

    Attributes:
        model: As `ghn predict` takes it; it gets as many outputs as the images have classes.
        inits: The starts, chains as `ghn.initializers.create` takes them; the others are compared with the first.
        seeds: Trainings of each start: 0 to `seeds` - 1 govern the model's own initialisation, what starts draw, and
            the order and augmentation of the images, which are the same for all starts of a seed.
        training: Every training's; its learning rates are tried for every start and seed, and that which does best on
            held-out images counts. Its `init` and `seed` are set for each.
    """

    model: str
    inits: tuple[str, ...] = ("default", "ghn")
    seeds: int = field(default=3, metadata=at_least(1))
    training: FinetuneConfig = field(default_factory=FinetuneConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.inits:
            raise ValueError("no start to compare; name at least one")
        for init in self.inits:
            create(init)
        if self.training.minutes is not None:
            raise ValueError("trainings of a comparison have a number of steps, not of minutes: set steps")
        if len(set(self.inits)) < len(self.inits):
            twice = next(init for init in self.inits if self.inits.count(init) > 1)
            raise ValueError(f"{twice} is named twice; name each start once")

    def cell(self, init: str, seed: int) -> FinetuneConfig:
        """The training of one start from one seed."""
        # A log of a few lines says how long a step takes.
        every = max(1, min(self.training.log_every, self.training.steps // 4))
        return replace(self.training, init=init, seed=seed, log_every=every)
