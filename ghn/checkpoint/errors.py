"""The one error that loading, converting and saving hypernetworks raises."""

from __future__ import annotations

from ghn.common.errors import OneLineError


class CheckpointError(OneLineError):
    """A checkpoint cannot be read, is not what it claims to be, or cannot be written; the message is one line."""
