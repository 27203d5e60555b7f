"""See what networks, starts and trainings are like: scores, rankings, pictures, and pages to look at them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ghn.analysis.explorer.explore import explore as explore
    from ghn.analysis.zero_cost import SCORES, Score, score_table, scores

_HOMES = {
    "SCORES": "ghn.analysis.zero_cost.table",
    "Score": "ghn.analysis.zero_cost.table",
    "explore": "ghn.analysis.explorer.explore",
    "score_table": "ghn.analysis.zero_cost.table",
    "scores": "ghn.analysis.zero_cost.table",
}
"""What the room offers, and where it is: loaded when it is first asked for."""

__all__ = ["SCORES", "Score", "explore", "score_table", "scores"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
