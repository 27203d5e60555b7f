"""What is wrong with a file is a ValueError in one line."""

from ghn.common.errors import OneLineError
from ghn.common.untrusted.errors import FormatError


def test_kind() -> None:
    assert issubclass(FormatError, OneLineError)
