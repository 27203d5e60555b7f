"""The starts that experiments compare, by the names of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ghn.experiments.grid.cell import Cell
from ghn.hypernet.config import GHNConfig
from ghn.meta.config import MetaTrainingConfig


@dataclass(frozen=True, kw_only=True)
class Method:
    """A start.

    Attributes:
        name: In tables; that of the published row where there is one.
        init: A chain of initialisers; `{hypernet}` is the folder of the hypernetwork that is trained for it.
        needs: Cells that make what the chain reads.
        parameters: Millions of the hypernetwork's.
    """

    name: str
    init: str
    needs: Mapping[str, Cell] = field(default_factory=dict)
    parameters: float | None = None

    @property
    def random(self) -> bool:
        """Whether nothing is predicted: such networks say nothing before they are trained."""
        return "ghn" not in self.init


RANDOM = Method(name="random", init="default")


def given(name: str, hypernet: str, parameters: float | None = None) -> Method:
    """A hypernetwork that there is.

    Args:
        name: In tables.
        hypernet: As `ghn.from_pretrained` takes it.
        parameters: Millions.
    """
    return Method(name=name, init=f"ghn:{hypernet}", parameters=parameters)


def trained(name: str, config: MetaTrainingConfig, seed: int = 0, **architecture: Any) -> Method:
    """A hypernetwork that is trained first.

    Args:
        name: In tables.
        config: Its training.
        seed: Of this.
        architecture: Fields of `GHNConfig` that differ.
    """
    values = config.to_dict()
    values["hypernet"] |= architecture
    for local in ("data_root", "seed"):
        del values[local]
    hypernet = GHNConfig.from_dict(values["hypernet"])
    cell = Cell(kind="train", settings={"config": values}, seed=seed)
    return Method(name=name, init="ghn:{hypernet}", needs={"hypernet": cell}, parameters=size_of(hypernet) / 1e6)


@cache
def size_of(config: GHNConfig) -> int:
    """Elements of a hypernetwork's parameters."""
    import torch

    from ghn.hypernet import GHN

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in GHN(config).parameters())
