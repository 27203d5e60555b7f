"""Modules that programs written for version 0.1 import by a name of before: they are found, with a warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder

MOVED = {
    "ghn.graph.draw": ("ghn.draw", "ghn.graph.files"),
    "ghn.train": ("ghn.meta.config", "ghn.meta.run", "ghn.meta.runs", "ghn.finetuning.config", "ghn.finetuning.run"),
    "ghn.train.config": ("ghn.meta.config",),
    "ghn.train.finetuning": ("ghn.finetuning.config", "ghn.finetuning.run"),
    "ghn.train.run": ("ghn.meta.run",),
    "ghn.train.runs": ("ghn.meta.runs",),
    "ghn.train.state": ("ghn.training.state",),
}
"""The names of before, and where what they held is found."""


class _Finder:
    """Finds and makes modules that look up everything where it is today.

    Of the base classes for that, whose import is a seventh of the time of `ghn --help`, nothing is needed.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MOVED:
            return None
        return ModuleSpec(
            fullname, cast("Loader", self), is_package=any(name.startswith(f"{fullname}.") for name in MOVED)
        )

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        homes = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} is {' and '.join(homes)} now", DeprecationWarning, stacklevel=2)

        def public() -> list[str]:
            """What `import *` brings in."""
            held = [getattr(there, "__all__", dir(there)) for there in map(import_module, homes)]
            return sorted({name for names in held for name in names if not name.startswith("_")})

        def found(name: str) -> Any:
            if name == "__all__":
                return public()
            # What else the import system asks of every module is none of ours.
            if not name.startswith("__"):
                for home in homes:
                    if hasattr(there := import_module(home), name):
                        return getattr(there, name)
            where = " and ".join(homes)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}; it is {where} now")

        module.__getattr__ = found  # type: ignore[method-assign]
        module.__dir__ = public  # type: ignore[method-assign]


def keep_old_names() -> None:
    """Let modules of before be imported; once a process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(cast("MetaPathFinder", _Finder()))
