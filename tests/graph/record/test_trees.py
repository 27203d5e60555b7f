"""Tensors in nested structures."""

from collections import namedtuple
from typing import Any

import pytest
import torch

from ghn.graph.record.trees import map_tensors, tensors_in

A, B, C = (torch.full((1,), float(number)) for number in range(3))
Named = namedtuple("Named", "left right")


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        (A, [0]),
        (None, []),
        ("text", []),
        ([], []),
        ((A, [B, (C,)]), [0, 1, 2]),
        ({"b": B, "a": A}, [1, 0]),
        (Named(C, [A]), [2, 0]),
        ([A, A], [0, 0]),
        ([3, None, slice(0, 1), {"x": ("y", B)}], [1]),
    ],
)
def test_in_order(tree: Any, found: list[int]) -> None:
    assert [int(tensor) for tensor in tensors_in(tree)] == found
    assert [int(tensor) for tensor in tensors_in(map_tensors(tree, lambda tensor: tensor + 5))] == [
        n + 5 for n in found
    ]


def test_structure_is_kept() -> None:
    mapped = map_tensors([Named(A, (B, 3)), {"a": [C]}, "text"], float)
    assert mapped == [Named(0.0, (1.0, 3)), {"a": [2.0]}, "text"]
    assert isinstance(mapped[0], Named)
    assert isinstance(mapped[0].right, tuple)
    assert isinstance(mapped[1]["a"], list)
