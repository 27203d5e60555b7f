"""What is wrong with a file; the rooms that read it say which file, and raise an error of theirs."""

from __future__ import annotations

from ghn.common.errors import OneLineError


class FormatError(OneLineError):
    """A file is damaged, is of another kind than asked for, or holds what is refused; the message lacks its name."""
