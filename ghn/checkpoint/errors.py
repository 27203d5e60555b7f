"""The one error that loading, converting and saving hypernetworks raises."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint cannot be read, is not what it claims to be, or cannot be written; the message is one line."""


def shown(value: object, limit: int = 80) -> str:
    """Text out of an untrusted file, made safe to print: ASCII, one line, at most `limit` characters."""
    text = ascii(value)
    text = text[1:-1] if isinstance(value, str) else text
    return text if len(text) <= limit else text[: limit - 3] + "..."
