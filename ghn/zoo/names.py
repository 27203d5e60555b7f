"""Names of models with options behind them, and which names are near to a wrong one."""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from ghn.zoo.request import UnknownNameError


def split_options(text: str) -> tuple[str, dict[str, Any]]:
    """`name,key=value,…` in its parts; values are read as JSON or Python writes them, else as text."""
    name, *assignments = re.split(r",(?=[A-Za-z_]\w*=)", text)
    options: dict[str, Any] = {}
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        options[key] = _value(value)
    return name, options


def _value(text: str) -> Any:
    """JSON, or what Python writes for a constant, tuple, list, dictionary or text; else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text in ("True", "False", "None") or text.startswith(("(", "[", "{", "'")):
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    return text


def near(name: str, names: Sequence[str], prefix: str = "") -> str:
    """A question that names what may have been meant, or an empty text."""
    found = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(prefix + other for other in found)}?" if found else ""


def unknown(library: str, name: str, names: Sequence[str], prefix: str = "") -> UnknownNameError:
    """The error for a name that is not among a library's; `prefix` stands before names of that library."""
    hint = near(name.lower(), names, prefix) or "nothing is called like it"
    return UnknownNameError(f"{library} has no model {name!r}: {hint} ({len(names)} models)")
