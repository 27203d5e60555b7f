"""The error of checkpoints is one that users can read."""

from ghn.checkpoint import CheckpointError


def test_one_line() -> None:
    assert str(CheckpointError("a\nb\x1b")) == "a b\\x1b"
    assert issubclass(CheckpointError, ValueError)
