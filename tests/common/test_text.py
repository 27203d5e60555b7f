"""Text that others chose does not act on whatever shows it, and takes bounded time."""

import json
import math
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from ghn.common.text import one_line, printable, shown, without_nan


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
        (b"ab", "a value of type bytes"),
        ([1, [2]], "a list of 2 entries"),
        ([1, None, "ü"], "[1, None, '\\xfc']"),
        ((1,), "(1,)"),
        ({"a": 1}, "{'a': 1}"),
        ({"a": []}, "a dict of 1 entries"),
        (True, "True"),
        (1.5, "1.5"),
        (1 << 20_000, "an integer of 20,001 bits"),
    ],
    ids=lambda value: "" if isinstance(value, int) else None,
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("length", [79, 80, 81, 10_000])
def test_long_text_is_cut(length: int) -> None:
    text = shown("x" * length)
    assert len(text) == min(length, 80)
    assert text.endswith("...") is (length > 80)
    assert len(shown("ö" * length, limit=10)) == 10


def test_lists_that_grow_without_bound_are_shown_at_once() -> None:
    laughs: list[Any] = []
    for _ in range(60):
        laughs = [laughs] * 10
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    start = time.process_time()
    for value in (laughs, deep, cyclic, "x" * 10**7, [1] * 10**6):
        assert len(shown(value)) <= 80
    assert time.process_time() - start < 1


ODD = [
    "\0",
    "\x07",
    "\x1b[31m",
    "\x9b31m",
    "\r",
    "\n",
    "\x85",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ud800",
    "\uffff",
]


@pytest.mark.parametrize("sign", ODD)
def test_printable_text_is_xml_and_one_line(sign: str) -> None:
    text = printable(f"a{sign}b")
    assert text.isprintable()
    assert ElementTree.fromstring(f"<a>{text}</a>").text == text
    assert text.startswith("a\\")
    assert printable(sign, keep=sign) == sign


def test_ordinary_text_stays() -> None:
    assert printable("größe 🙂 [x]\\") == "größe 🙂 [x]\\"


def test_messages_are_one_line_of_bounded_length() -> None:
    assert one_line("  first\n  second\n") == "first second"
    assert one_line("a\x1bb") == "a\\x1bb"
    long = one_line("begin" + "x" * 10**6 + "end")
    assert len(long) == 900
    assert long.startswith("begin")
    assert long.endswith("end")
    assert len(one_line("\n" * 10**5)) <= 900


def test_json_gets_no_number_that_is_not_finite() -> None:
    value = {"a": math.nan, 2: [1.5, math.inf, {"b": (-math.inf, "NaN", 3)}], "c": None}
    assert without_nan(value) == {"a": None, "2": [1.5, None, {"b": [None, "NaN", 3]}], "c": None}
    json.dumps(without_nan(value), allow_nan=False)
