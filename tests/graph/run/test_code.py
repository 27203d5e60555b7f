"""What code names and holds."""

from typing import Any

import torch
from torch import nn

from ghn.graph.run.code import global_names, is_of_libraries, slots, values_of_class

LIST: list[int] = []
NUMBER = 0


def function() -> Any:
    def inner() -> None:
        global NUMBER
        NUMBER = len(LIST)

    return inner


def test_globals_of_inner_functions_are_named_too() -> None:
    names, rebound = global_names(function.__code__)
    assert {"LIST", "len"} <= names
    assert rebound == {"NUMBER"}
    assert global_names(test_globals_of_inner_functions_are_named_too.__code__)[1] == frozenset()


def test_classes() -> None:
    class Base:
        __slots__ = ("a",)
        number = 1

    class Kind(Base):
        __slots__ = ("b",)
        items: list[int] = []

        def method(self) -> None: ...

        @property
        def computed(self) -> int:
            return 1

    assert dict(values_of_class(Kind)) == {"items": Kind.items}
    assert [member.__name__ for member in slots(Kind)] == ["b", "a"]
    assert [is_of_libraries(kind) for kind in (Kind, nn.Linear, torch.Tensor, dict)] == [False, True, True, True]
