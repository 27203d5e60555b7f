"""Mixed precision on the CPU."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from ghn.training.precision import DTYPES, Precision, autocast, in_float32

CPU = torch.device("cpu")


def test_every_precision_has_a_type() -> None:
    assert {name: str(dtype) for name, dtype in DTYPES.items()} == {
        name: f"torch.{name}" for name in get_args(Precision)
    }


@pytest.mark.parametrize("precision", DTYPES)
def test_layers_compute_in_it_and_keep_float32_weights(precision: str) -> None:
    layer = nn.Linear(3, 2)
    with autocast(CPU, precision):
        output = layer(torch.ones(1, 3))
    assert output.dtype == DTYPES[precision]
    assert layer.weight.dtype == torch.float32


def test_float32_stays_float32_within_another() -> None:
    with autocast(CPU, "bfloat16"), autocast(CPU, "float32"):
        assert nn.Linear(3, 2)(torch.ones(1, 3)).dtype == torch.float32


class Listener(nn.Module):
    """Takes tensors by place and by name, and things that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seen: list[torch.dtype] = []

    def forward(self, given: Tensor, note: str, *, more: Tensor, mask: Tensor) -> Tensor:
        assert note == "x"
        self.seen = [given.dtype, more.dtype, mask.dtype]
        return self.layer(given + more) * mask[:, None]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_module_kept_in_float32(dtype: torch.dtype) -> None:
    module = Listener()
    plain = copy.deepcopy(module)
    in_float32(module)
    given, more, mask = torch.randn(4, 3, dtype=dtype), torch.randn(4, 3, dtype=dtype), torch.tensor([1, 0, 1, 1])
    with autocast(CPU, "bfloat16"):
        output = module(given, "x", more=more, mask=mask)
        # What comes after it is not.
        assert nn.Linear(2, 2)(output).dtype == torch.bfloat16
    assert module.seen == [torch.float32, torch.float32, torch.int64]
    assert torch.equal(output, plain(given.float(), "x", more=more.float(), mask=mask))


def test_a_module_of_double_numbers_is_left_at_that() -> None:
    layer = nn.Linear(3, 2).double()
    in_float32(layer)
    assert layer(torch.ones(1, 3, dtype=torch.float64)).dtype == torch.float64


def test_the_first_tensor_may_come_by_name() -> None:
    layer = nn.Linear(3, 2)
    in_float32(layer)
    with autocast(CPU, "bfloat16"):
        assert layer(input=torch.ones(1, 3)).dtype == torch.float32
