"""The keywords that type checkers know are the fields of the configuration."""

from dataclasses import fields

from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.options import FinetuneOptions


def test_they_are_the_same() -> None:
    written = {name: getattr(kind, "__forward_arg__", kind) for name, kind in FinetuneOptions.__annotations__.items()}
    assert written == {entry.name: entry.type for entry in fields(FinetuneConfig) if entry.name != "data"}
