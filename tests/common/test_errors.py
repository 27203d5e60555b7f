"""Messages are one printable line, also after a way between processes."""

import pickle

from ghn.common.errors import OneLineError


def test_message_is_one_line() -> None:
    error = OneLineError("no file a\nb\x1b[2J")
    assert str(error) == "no file a b\\x1b[2J"
    assert isinstance(error, ValueError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(OneLineError()) == ""
