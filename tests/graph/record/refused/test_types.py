"""Types are refused where PyTorch refuses them, and nowhere else."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from ghn.graph.record.refused.fitting import Fitting
from ghn.graph.record.refused.types import TYPES, full_name
from tests.graph.graphs import works
from tests.graph.record.test_shapes import operator_of

DTYPES = (torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16)
ZEROS = torch.zeros(2, dtype=torch.int64)
T = "T"
"""Stands for a tensor of any type; what follows are its sizes."""

SAMPLES: dict[str, tuple[Any, ...]] = {
    "convolution": ((T, 2, 2, 4), (T, 3, 2, 1), (T, 3), [1], [0], [1], False, [0], 1),
    "binary_cross_entropy": ((T, 2), (T, 2)),
    "addmm": ((T, 2), (T, 3, 2), (T, 2, 2)),
    "addbmm": ((T, 3, 2), (T, 1, 3, 2), (T, 1, 2, 2)),
    "baddbmm": ((T, 1, 3, 2), (T, 1, 3, 2), (T, 1, 2, 2)),
    "addmv": ((T, 3), (T, 3, 2), (T, 2)),
    "mm": ((T, 3, 2), (T, 2, 2)),
    "bmm": ((T, 1, 3, 2), (T, 1, 2, 2)),
    "mv": ((T, 3, 2), (T, 2)),
    "dot": ((T, 2), (T, 2)),
    "_prelu_kernel": ((T, 2, 3), (T, 1, 3)),
    "linalg_cross": ((T, 2, 3), (T, 2, 3)),
    "_cdist_forward": ((T, 2, 3), (T, 2, 3), 2.0, None),
    "index_add index_add_ index_copy index_copy_": ((T, 2, 3), 0, ZEROS[:1], (T, 1, 3)),
    "index_put index_put_": ((T, 2, 3), [ZEROS], (T, 2, 3)),
    "_index_put_impl_": ((T, 2, 3), [ZEROS], (T, 2, 3), False),
    "grid_sampler_2d": ((T, 1, 1, 2, 2), (T, 1, 2, 2, 2), 0, 0, False),
    "grid_sampler_3d": ((T, 1, 1, 2, 2, 2), (T, 1, 2, 2, 2, 3), 0, 0, False),
    "native_batch_norm": ((T, 2, 3), (T, 3), (T, 3), (T, 3), (T, 3), True, 0.1, 1e-5),
    "_native_batch_norm_legit": ((T, 2, 3), (T, 3), (T, 3), (T, 3), (T, 3), True, 0.1, 1e-5),
    "native_group_norm": ((T, 2, 4, 3), (T, 4), (T, 4), 2, 4, 3, 2, 1e-5),
    "native_layer_norm": ((T, 2, 3), [3], (T, 3), (T, 3), 1e-5),
    "_softmax _log_softmax": ((T, 2, 3), -1, False),
    "_safe_softmax": ((T, 2, 3), -1),
    "gelu gelu_ celu celu_ hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_ mish mish_ softplus": ((T, 2),),
    "silu silu_ relu relu_ log_sigmoid_forward glu argmax": ((T, 2),),
    "_adaptive_avg_pool2d adaptive_max_pool2d": ((T, 1, 1, 4, 4), [2, 2]),
    "_adaptive_avg_pool3d adaptive_max_pool3d": ((T, 1, 1, 4, 4, 4), [2, 2, 2]),
    "var.correction std.correction var_mean.correction std_mean.correction": ((T, 2, 3), [1]),
    "upsample_nearest1d": ((T, 1, 1, 4), [8]),
    "upsample_nearest2d": ((T, 1, 1, 4, 4), [8, 8]),
    "upsample_nearest3d": ((T, 1, 1, 4, 4, 4), [8, 8, 8]),
    "upsample_bilinear2d": ((T, 1, 1, 4, 4), [8, 8], False),
    "avg_pool2d max_pool2d_with_indices": ((T, 1, 4, 4), [2, 2]),
    "avg_pool3d max_pool3d_with_indices": ((T, 1, 4, 4, 4), [2, 2, 2]),
    "topk": ((T, 3), 2),
    "add_.Tensor sub_.Tensor mul_.Tensor div_.Tensor": ((T, 2), (T, 2)),
    "sub.Tensor": ((T, 2), (T, 2)),
    "index_select": ((T, 2, 3), 0, (T, 2)),
    "nll_loss_forward": ((T, 1, 2), (T, 1), None, 1, -100),
    "nll_loss2d_forward": ((T, 1, 2, 1, 1), (T, 1, 1, 1), None, 1, -100),
}
CALLS = {name: args for names, args in SAMPLES.items() for name in names.split()}


def calls(args: tuple[Any, ...]) -> Any:
    """The arguments with tensors of all types: all of one, and each of another while the others are of one."""
    places = [at for at, given in enumerate(args) if isinstance(given, tuple) and given[:1] == (T,)]
    for usual, other, odd in itertools.product(DTYPES, DTYPES, places):
        made = list(args)
        for at in places:
            made[at] = torch.ones(args[at][1:]).to(other if at == odd else usual)
        yield made


def without_numbers(args: list[Any]) -> list[Any]:
    return [given.to("meta") if isinstance(given, Tensor) else given for given in args]


def copies(args: list[Any]) -> list[Any]:
    return [given.clone() if isinstance(given, Tensor) else given for given in args]


def test_every_operator_has_a_sample() -> None:
    full = {full_name(name) for name in CALLS}
    assert full == set(TYPES)


TAKEN_ONCE = ("addmv",)
"""What PyTorch refuses more of since 2.7 than before: that is left to it."""


@pytest.mark.parametrize("name", CALLS)
def test_types_are_refused_where_pytorch_refuses_them(name: str) -> None:
    """Nothing else is refused in any version; kernels of half precision and masks differ between these."""
    full = full_name(name)
    operator = operator_of(full)
    if operator is None:
        pytest.skip(f"PyTorch {torch.__version__} has no {full}")
    accepted = refused = 0
    for args in calls(CALLS[name]):
        fits = works(Fitting(strict=True).check, full, without_numbers(args))
        taken = works(operator, *copies(args))
        assert fits or not taken, [given.dtype for given in args if isinstance(given, Tensor)]
        sure = all(t.dtype in (torch.float32, torch.float64, torch.int64) for t in args if isinstance(t, Tensor))
        if sure and name not in TAKEN_ONCE and not taken and works(operator, *without_numbers(args)):
            assert not fits, [given.dtype for given in args if isinstance(given, Tensor)]
        accepted, refused = accepted + taken, refused + (not fits)
    assert accepted
    assert refused
