"""Arguments of initialisers' names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from ghn.common.settings import POSITIVE, Settings, at_least
from ghn.initializers.options import read_options


@dataclass(frozen=True, kw_only=True)
class Some(Settings):
    kind: Literal["sgd", "adam"] = "sgd"
    steps: int = field(default=10, metadata=at_least(1))
    lr: float = field(default=0.1, metadata=POSITIVE)
    gamma: float | None = field(default=None, metadata=POSITIVE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Some()),
        ("adam", Some(kind="adam")),
        ("kind=adam", Some(kind="adam")),
        ("adam,steps=3,lr=1e-2", Some(kind="adam", steps=3, lr=0.01)),
        (" steps = 3 , gamma=2 ", Some(steps=3, gamma=2.0)),
    ],
)
def test_fields_and_words(text: str | None, expected: Some) -> None:
    assert read_options("start", Some, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "start takes sgd, adam, steps=, lr=, gamma=, not ''"),
        ("rmsprop", "start takes sgd, adam, steps=, lr=, gamma=, not 'rmsprop'"),
        ("step=3", r"not 'step=3'; did you mean steps\?"),
        ("adm", r"not 'adm'; did you mean adam\?"),
        ("steps", "not 'steps'"),
        ("adam,,lr=1", "not ''"),
        ("steps=3.5", "start: steps must be of type int, not '3.5'"),
        ("steps=0", "start: steps must be at least 1, not 0"),
        ("lr=fast", "start: lr must be a finite number, not 'fast'"),
        ("lr=nan", "start: lr must be a finite number"),
        ("gamma=-1", "start: gamma must be positive, not -1.0"),
        ("kind=rmsprop", "start: kind must be sgd or adam, not 'rmsprop'"),
        ("steps=1,steps=2", "start is given steps twice"),
        ("adam,sgd", "start is given kind twice"),
        ("steps=1\nlr=2", "not|must be"),
    ],
)
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_options("start", Some, text)
    assert "\n" not in str(caught.value)
