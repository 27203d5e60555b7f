"""JSON within bounds: how much memory a text takes is estimated before it is parsed."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import read_bytes

FREE = 64 << 20
"""Bytes of memory that any text may take."""

EXPANSION = 6
"""Beyond `FREE`, bytes of memory that each of its own may take."""

_COSTS = {"[": 72, "{": 200, ",": 40, '"': 28}
"""Bytes of Python objects for which a character stands: a list, a dictionary, an entry, half a string."""


def parse_json(text: str, *, expansion: int = EXPANSION) -> Any:
    """The value that a JSON text denotes.

    Args:
        text: The text.
        expansion: See `EXPANSION`.

    Raises:
        FormatError: If it is no JSON, is nested too deeply, holds numbers that are none (NaN, Infinity) or have
            thousands of digits, or would take more than `FREE` and `expansion` times its length in memory.
    """
    needed = len(text) + sum(cost * text.count(sign) for sign, cost in _COSTS.items())
    if needed > FREE + expansion * len(text):
        raise FormatError(f"would take {needed >> 20:,} MB of memory for {len(text) >> 20:,} MB of text")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise FormatError("is nested too deeply") from None
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"is no JSON ({error})") from None


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError(f"holds {name}, which is no number of JSON")


def read_json(path: str | os.PathLike[str], most: int, *, expansion: int = EXPANSION) -> Any:
    """The value in a JSON file.

    Args:
        path: Its name.
        most: Bytes that a sound one has at most.
        expansion: See `EXPANSION`.

    Raises:
        FormatError: If it is no ordinary file, is larger, is no UTF-8, or as `parse_json`.
    """
    content = read_bytes(path, most)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"is no text in UTF-8 (byte {error.start:,})") from None
    del content
    return parse_json(text, expansion=expansion)
