"""Tensors in nested structures."""

import dataclasses
from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.record.trees import map_tensors, output_tensors, tensors_in
from ghn.graph.trace import trace

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


def test_outputs_of_any_structure() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 6)

        def forward(self, x: Tensor) -> dict:
            return {"features": [self.a(x), (x,)], "logits": self.b(x), "none": None, "count": 3}

    graph = trace(Model(), torch.zeros(2, 4))
    assert {name for name, spec in graph.parameters.items() if spec.head} == {"b.weight", "b.bias"}
    assert len(graph.parameters) == 4


@dataclasses.dataclass
class Result:
    """A model's own result."""

    loss: Any = None
    features: Any = None
    logits: Any = None


class Bare:
    """An object that holds tensors and says nothing of itself."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


A, B, C = (torch.full((1,), float(number)) for number in range(3))


@pytest.mark.parametrize(
    ("tree", "numbers"),
    [
        (A, [0]),
        (None, []),
        ("logits", []),
        ({"a": A, "out": B}, [1, 0]),
        ({"out": A, "logits": B}, [1, 0]),
        # Not a tensor: the first one counts.
        ({"logits": [B], "a": A}, [1, 0]),
        (Result(features=[A, B], logits=C), [2, 0, 1]),
        (Result(loss=A), [0]),
        (Bare(hidden=(A,), out=B), [1, 0]),
        ([{"logits": B}, A], [1, 0]),
        ((A, {"x": (B, None, 3)}, [C]), [0, 1, 2]),
    ],
)
def test_primary_output_comes_first(tree: Any, numbers: list[int]) -> None:
    assert [int(tensor) for tensor in output_tensors(tree)] == numbers


def test_structures_that_hold_themselves() -> None:
    result = Bare(a=A)
    result.itself = [result, B]  # type: ignore[attr-defined]
    assert [int(tensor) for tensor in output_tensors(result)] == [0, 1]
