"""Text that others chose (names of modules, files, fields), made safe to show: on terminals, in XML, in Markdown."""

from __future__ import annotations

import math
from typing import Any

LONGEST_LINE = 900
"""Characters of a message."""

MOST_ENTRIES = 8
"""Entries of a list whose text is shown."""

LONGEST_INTEGER = 13_000
"""Bits of an integer whose digits are shown; Python refuses to write those of much longer ones."""


def printable(text: str, *, keep: str = "") -> str:
    """The text with escapes (`\\x1b`, `\\u202e`) for whatever moves, hides, reorders or ends what is around it.

    These are control characters, line ends, marks of direction, surrogates and code points without a character: what
    `str.isprintable` says no to.

    Args:
        text: Any text.
        keep: Characters that stay all the same.

    Returns:
        Text that can be encoded in UTF-8 and stands in any XML document, once `&` and `<` are escaped there.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in keep else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def one_line(text: str, limit: int = LONGEST_LINE) -> str:
    """A message as one printable line of at most `limit` characters; what is too much is left out of its middle."""
    lines = text.splitlines() if len(text) <= 4 * limit else [text]
    line = printable(" ".join(part.strip() for part in lines) if len(lines) > 1 else text.strip())
    if len(line) <= limit:
        return line
    head = (limit - 5) * 2 // 3
    return f"{line[:head]} ... {line[head + 5 - limit :]}"


def shown(value: object, limit: int = 80) -> str:
    """A value out of a file in a few words: ASCII, one line, at most `limit` characters, in bounded time.

    Args:
        value: Anything; lists may be nested or refer to themselves.
        limit: Characters.
    """
    text = _few_words(value, limit)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def said(value: object, limit: int = 80) -> str:
    """As `shown`, in quotation marks if it is text."""
    return f"'{shown(value, limit)}'" if isinstance(value, str) else shown(value, limit)


def _few_words(value: object, limit: int) -> str:
    if isinstance(value, str):
        return ascii(value[: limit + 1])[1:-1]
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        return f"an integer of {value.bit_length():,} bits"
    if _is_scalar(value):
        return ascii(value)
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return f"a value of type {type(value).__name__}"
    entries = [*value, *value.values()] if isinstance(value, dict) and len(value) <= MOST_ENTRIES else value
    if len(value) > MOST_ENTRIES or not all(map(_is_scalar, entries)):
        return f"a {type(value).__name__} of {len(value):,} entries"
    inner = [ascii(entry[:limit]) if isinstance(entry, str) else _few_words(entry, limit) for entry in entries]
    if isinstance(value, dict):
        pairs = zip(inner[: len(value)], inner[len(value) :], strict=True)
        return "{" + ", ".join(f"{key}: {entry}" for key, entry in pairs) + "}"
    text = ", ".join(inner)
    if isinstance(value, list):
        return f"[{text}]"
    return f"({text}{',' if len(inner) == 1 else ''})" if isinstance(value, tuple) else f"{{{text}}}"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | complex | str)


def without_nan(value: Any) -> Any:
    """A value for JSON, in which numbers that are not finite become None, also within lists and dictionaries."""
    if isinstance(value, dict):
        return {str(name): without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
