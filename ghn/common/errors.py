"""Errors for users, in one line that any terminal can show."""

from __future__ import annotations

from ghn.common.text import one_line


class OneLineError(ValueError):
    """A ValueError whose message is one printable line of bounded length, whatever it was made of.

    Names of files and modules stand in messages: control characters are written as escapes, and the middle of what is
    longer than `ghn.common.text.LONGEST_LINE` characters is left out.

    Args:
        message: Any text.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))
