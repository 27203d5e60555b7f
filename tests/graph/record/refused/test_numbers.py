"""Numbers out of range are refused though tables have none."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, with_parameters, works

POINTING: dict[str, tuple[Callable[[Lambda, Tensor], Tensor], tuple[int, ...]]] = {
    "embedding": (lambda self, i: F.embedding(i, self.table), (2, 3)),
    "bag": (lambda self, i: F.embedding_bag(i, self.table), (2, 3)),
    "index": (lambda self, i: self.table[i], (2, 3)),
    "two axes": (lambda self, i: self.table[i, i], (3,)),
    "row": (lambda self, i: self.table.index_select(0, i), (3,)),
    "gather": (lambda self, i: self.table.gather(0, i), (2, 4)),
    "take": (lambda self, i: self.table.take(i), (2, 3)),
    "scatter": (lambda self, i: self.table.scatter(0, i, 1.0), (2, 4)),
    "scatter_add": (lambda self, i: self.table.scatter_add(0, i, self.table), (2, 4)),
    "index_put": (lambda self, i: self.table.index_put((i,), self.table[:3]), (3,)),
    "labels": (lambda self, i: F.cross_entropy(self.table.t(), i), (4,)),
    "labels of an image": (lambda self, i: F.cross_entropy(self.table[None, :, None], i), (1, 1, 4)),
}


@pytest.mark.parametrize("kind", POINTING)
def test_numbers_out_of_range_are_refused(kind: str) -> None:
    forward, shape = POINTING[kind]
    model = with_parameters(Lambda(forward), table=(5, 4))
    taken = {number: works(model, torch.full(shape, number)) for number in (0, 3, 4, 5, 19, 20, -1, -5, -6, -21, -100)}
    assert taken[0]
    assert not taken[20]
    for number, takes in taken.items():
        assert works(trace, model, torch.full(shape, number)) or not takes
        if not takes:
            with pytest.raises(ValueError, match="forward pass of Lambda fails"):
                trace(model, torch.full(shape, number))
