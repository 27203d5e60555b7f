"""Names of models with options behind them, and which names are near to a wrong one."""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Collection, Sequence
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


def split_names(text: str, known: Collection[str] | None = None) -> list[str]:
    """Names with their options, separated by commas: `resnet18,num_classes=10,my.py:make,widths=(4,8)` are two.

    A comma separates where it is in no brackets and what follows begins like a name and is no option.

    Args:
        text: What the user gave.
        known: If given, a comma separates only where one of these follows (with an argument, or a step joined by `+`).
    """
    begins = r"\s*(?![A-Za-z_]\w*=)[A-Za-z_./~\\]"
    if known is not None:
        begins = f"(?:{'|'.join(map(re.escape, sorted(known, key=len, reverse=True)))})(?=[:+,]|$)"
    names, start, depth = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth and re.match(begins, text[place + 1 :]):
            names.append(text[start:place].strip())
            start = place + 1
    return [*names, text[start:].strip()]


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
