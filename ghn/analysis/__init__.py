"""What models, starts and trainings look like: scores and pictures."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ghn.analysis.explorer.explore import explore as explore

_HOMES = {
    "explore": "ghn.analysis.explorer.explore",
}
"""What the room offers, and where it is: loaded when it is first asked for."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ghn.analysis' has no attribute {name!r}")
