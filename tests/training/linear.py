"""The smallest training: a linear model, so that what is tested of trainings holds for what is no hypernetwork."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ghn.training.config import TrainingConfig
from ghn.training.ranks import Ranks
from ghn.training.stepper import Tally
from ghn.training.trainer import Trainer

ROWS = 4
Rows = tuple[Tensor, Tensor]


class LinearStepper:
    """Least squares on rows; a row is a unit. Dropout draws from the process's random state.

    Attributes:
        lacking: Rows of the next steps that lack memory.
        seen: Rows so far; part of the state.
    """

    key = "linear"
    unit = "rows"
    memory_advice = "take fewer rows"
    sums: tuple[str, ...] = ("loss", "size")
    parts: tuple[str, ...] = ("pass",)

    def __init__(self, *, dropout: float = 0.0, partial: bool = False) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.ModuleDict(
            {"used": nn.Sequential(nn.Linear(3, 4), nn.Dropout(dropout), nn.Linear(4, 2)), "unused": nn.Linear(2, 2)}
        )
        self.units, self.partial, self.lacking, self.seen = ROWS, partial, 0, 0

    def gradient(self, work: Rows, tally: Tally) -> None:
        began = tally.clock()
        inputs, wanted = (rows[self.lacking :] for rows in work)
        tally.lack_memory(self.lacking)
        if len(inputs):
            losses = squared_errors(self.module, inputs, wanted)
            (losses.sum() * tally.scale).backward()
            tally.add(losses.detach().sum(), inputs.norm(dim=1).sum(), units=len(inputs))
        self.seen += len(inputs)
        tally.seconds["pass"] += tally.clock() - began

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seen = state["seen"]


def squared_errors(module: nn.Module, inputs: Tensor, wanted: Tensor) -> Tensor:
    """Of each row."""
    return (module.get_submodule("used")(inputs) - wanted).square().sum(dim=1)


def linear_trainer(
    config: TrainingConfig, *, dropout: float = 0.0, partial: bool = False, ranks: Ranks | None = None
) -> Trainer[Rows]:
    return Trainer(config, LinearStepper(dropout=dropout, partial=partial), ranks)


def stepper_of(trainer: Trainer[Rows]) -> LinearStepper:
    assert isinstance(trainer.stepper, LinearStepper)
    return trainer.stepper


def rows(step: int) -> Rows:
    """The rows of a step."""
    generator = torch.Generator().manual_seed(step)
    return torch.randn(ROWS, 3, generator=generator), torch.randn(ROWS, 2, generator=generator)


def works(*, bad: Callable[[int], bool] = lambda _: False) -> Callable[[int, int], Iterator[Rows]]:
    """The rows of steps; those of a bad one (of this number, from 0 on) are infinite."""

    def give(first: int, last: int) -> Iterator[Rows]:
        for step in range(first, last):
            inputs, wanted = rows(step)
            yield (inputs * torch.inf if bad(step) else inputs), wanted

    return give


def weights(trainer: Trainer[Rows]) -> dict[str, Tensor]:
    """Copies by name."""
    return {name: value.clone() for name, value in trainer.stepper.module.state_dict().items()}


def assert_same(first: Any, second: Any) -> None:
    """Bit for bit, whatever is nested; but for the time it took."""
    assert type(first) is type(second)
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for name in first:
            if name != "elapsed":
                assert_same(first[name], second[name])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second
