"""A cell of a grid: what is computed, as plain data, and the digest that it is stored by."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ghn.common.text import said

FORMAT = 1
"""Of stored results. Another number means that results of before cannot be read, and are not those of now."""

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "finetune": "ghn.experiments.kinds.finetune:KIND",
        "pretrain": "ghn.experiments.kinds.finetune:KEEPING",
        "evaluate": "ghn.experiments.kinds.evaluate:KIND",
        "train": "ghn.experiments.kinds.train:KIND",
        "structure": "ghn.experiments.kinds.structure:KIND",
        "size": "ghn.experiments.kinds.size:KIND",
        "norm": "ghn.experiments.kinds.norm:KIND",
        "detect": "ghn.experiments.kinds.detect:KIND",
        "analysis": "ghn.experiments.kinds.analysis:KIND",
    }
)
"""What cells compute, by name; others are named as they are imported: `package.module:attribute`."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a cell computed.

    Attributes:
        value: Plain values for JSON, the same wherever and however often it is computed.
        times: Seconds of its parts, by name, which are not.
    """

    value: Mapping[str, Any]
    times: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a kind computes from.

    `job.work` is a folder that stays until the cell is finished, also over kills; it is made when first asked for.

    Attributes:
        settings: The cell's.
        seed: The cell's.
        needs: Folders of what the cells that this one needs have made, by name.
        folder: Makes the folder `work`, held for this process.
        output: A folder for what the cell makes, of kinds that make files; it appears whole or not at all.
        device: "cpu" or "cuda".
        data_root: Folder that holds the data sets; None for the default.
    """

    settings: Mapping[str, Any]
    seed: int
    needs: Mapping[str, Path]
    folder: Callable[[], Path]
    output: Path
    device: str = "cpu"
    data_root: str | None = None

    @cached_property
    def work(self) -> Path:
        """See above."""
        return self.folder()


def no_inputs(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Of cells that read nothing but their settings."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What cells may compute.

    Attributes:
        version: Raised when the numbers of a cell change; results of before are then computed anew.
        run: Computes one. A ValueError means that this cell cannot be; a DataError that no cell can.
        inputs: Digests of files that the settings name, by name.
        makes_files: Whether it leaves a folder.
    """

    version: int
    run: Callable[[Job], Found]
    inputs: Callable[[Mapping[str, Any]], Mapping[str, str]] = no_inputs
    makes_files: bool = False


def kind_named(name: str) -> Kind:
    """What cells of that name compute.

    Raises:
        ValueError: If there is no such kind.
    """
    place = KINDS.get(name, name)
    module, _, attribute = place.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(KINDS)
        raise ValueError(
            f"there is no kind of cell {said(name)} ({error}); there are {known}, and module:name"
        ) from error
    if not isinstance(kind, Kind):
        raise ValueError(f"{said(name)} is no kind of cell but a {type(kind).__name__}")
    return kind


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is computed.

    Attributes:
        kind: A name of `KINDS`, or `package.module:attribute`.
        settings: Plain values for JSON.
        seed: Governs all that is drawn.
        needs: Cells whose files this one reads, by the name that its kind knows them by.
    """

    kind: str
    settings: Mapping[str, Any]
    seed: int = 0
    needs: Mapping[str, Cell] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """All that its numbers depend on but the versions of libraries, which stand beside them."""
        kind = kind_named(self.kind)
        return {
            "format": FORMAT,
            "kind": self.kind,
            "version": kind.version,
            "settings": self.settings,
            "seed": self.seed,
            "needs": {name: cell.digest for name, cell in self.needs.items()},
            "inputs": kind.inputs(self.settings),
        }

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits: cells of equal digests are the same.

        Raises:
            ValueError: For an unknown kind, or settings that JSON does not hold.
        """
        try:
            text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        except TypeError as error:
            raise ValueError(f"settings of a cell {said(self.kind)} must be plain values for JSON: {error}") from error
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
