"""Arguments of an initialiser's name as settings: `gradinit:adam,steps=50,lr=0.01`."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ghn.common.settings import Settings
from ghn.common.text import said

S = TypeVar("S", bound=Settings)


def read_options(name: str, kind: type[S], argument: str | None) -> S:
    """Settings from text.

    Args:
        name: Of the initialiser, for messages.
        kind: Of the settings; a field of a few words (`Literal`) may be given by the word alone.
        argument: `word`, `field=value`, joined by commas; None for the defaults.

    Raises:
        ValueError: If there is no such field or word, one is given twice, or a value cannot be.
    """
    kinds = get_type_hints(kind)
    words = {word: entry for entry, hint in kinds.items() if get_origin(hint) is Literal for word in get_args(hint)}
    values: dict[str, Any] = {}
    for part in [] if argument is None else argument.split(","):
        entry, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals and entry in words:
            entry, text = words[entry], entry
        elif not equals or entry not in kinds:
            raise ValueError(f"{name} takes {_there_is(kind, words)}, not {said(part)}{_nearest(entry, kinds, words)}")
        if entry in values:
            raise ValueError(f"{name} is given {entry} twice")
        values[entry] = _value(text, kinds[entry])
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _there_is(kind: type[Settings], words: dict[str, str]) -> str:
    named = set(words.values())
    return ", ".join([*words, *(f"{entry.name}=" for entry in fields(kind) if entry.name not in named)])


def _nearest(given: str, kinds: dict[str, Any], words: dict[str, str]) -> str:
    near = difflib.get_close_matches(given, [*words, *kinds], n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _value(text: str, hint: Any) -> Any:
    """The value, or the text where it is none: settings say what is wrong with it."""
    kind = next((option for option in get_args(hint) if option in (int, float)), hint)
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text
