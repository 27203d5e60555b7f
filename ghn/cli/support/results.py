"""What `--json` prints: the result and nothing else, whatever models and libraries print on the way."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TextIO

_results: ContextVar[TextIO | None] = ContextVar("results", default=None)
"""Where results go, while what is printed goes elsewhere."""


@contextlib.contextmanager
def results_apart() -> Iterator[None]:
    """Context in which whatever is printed goes to stderr, and only `print_json` to stdout."""
    before = _results.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results.reset(before)


def print_json(value: Any, *, default: Callable[[Any], Any] | None = None) -> None:
    """Print plain values.

    Args:
        value: The result.
        default: As of `json.dumps`.
    """
    print(json.dumps(value, indent=2, default=default), file=_results.get() or sys.stdout)
