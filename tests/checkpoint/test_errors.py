"""Text out of untrusted files."""

import pytest

from ghn.checkpoint.errors import shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ln.weight", "ln.weight"),
        ("", ""),
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("schön", r"sch\xf6n"),
        ("it's", "it's"),
        (3, "3"),
        (("a", 1), "('a', 1)"),
        (b"ab", "b'ab'"),
    ],
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("length", [79, 80, 81, 10_000])
def test_long_text_is_cut(length: int) -> None:
    text = shown("x" * length)
    assert len(text) == min(length, 80)
    assert text.endswith("...") is (length > 80)
    assert len(shown("ö" * length, limit=10)) == 10
