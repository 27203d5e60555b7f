"""Which tensor takes the place of a model's while it is traced."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.nn.parameter import UninitializedParameter, is_lazy

from ghn.graph.run.stand_in import blank, comes_from_ranks, stand_in
from tests.kinds import KEPT, WRITTEN, Noted, Packed, numbers

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*quantized tensor creation functions.*:UserWarning", "ignore:Sparse .* tensor support.*:UserWarning"
)

KINDS = {**WRITTEN, **{kind: make for kind, (make, _) in KEPT.items()}}
WITH_NUMBERS_ON_META = {"integers", "booleans", "quantised"}


@pytest.mark.parametrize("kind", KINDS)
def test_on_meta_floats_lose_their_numbers_and_integers_keep_them(kind: str) -> None:
    tensor = KINDS[kind]()
    made = stand_in(tensor, "meta")
    assert isinstance(made, nn.Parameter)
    assert made.shape == tensor.shape
    assert made.dtype == tensor.dtype
    assert made.requires_grad is tensor.requires_grad
    assert made.is_meta is (kind not in WITH_NUMBERS_ON_META)
    if kind in WITH_NUMBERS_ON_META:
        assert torch.equal(numbers(made), numbers(tensor))  # type: ignore[arg-type]
    elif tensor.layout is torch.strided:
        assert made.stride() == tensor.stride()
    else:
        assert made.is_contiguous()


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_cpu_all_keep_their_numbers_class_and_layout(kind: str) -> None:
    tensor = KINDS[kind]()
    made = stand_in(tensor, "cpu")
    assert isinstance(made, nn.Parameter)
    assert type(made) is type(tensor)
    assert made.layout == tensor.layout
    before = numbers(tensor)
    assert torch.equal(numbers(made), torch.zeros(8, 8) if before is None else before)  # type: ignore[arg-type]
    if made.layout is torch.strided and type(made) is not Packed and kind != "quantised":
        assert made.data_ptr() != tensor.data_ptr()


def test_arguments_are_no_parameters() -> None:
    for device in ("meta", "cpu"):
        assert type(stand_in(torch.ones(2), device)) is Tensor  # type: ignore[arg-type]
        assert type(stand_in(Packed.pack(torch.ones(2)), device)) is (Tensor if device == "meta" else Packed)  # type: ignore[arg-type]
    assert torch.equal(stand_in(torch.ones(2, device="meta"), "cpu"), torch.zeros(2))


def test_attributes_and_classes_of_functions_stay() -> None:
    tensor: Any = Noted(torch.ones(2))
    tensor.note = "kept"
    for device in ("meta", "cpu"):
        made: Any = stand_in(tensor, device)  # type: ignore[arg-type]
        assert (type(made), made.note) == (Noted, "kept")


def test_lazy_parameters_stay_lazy() -> None:
    made = stand_in(UninitializedParameter(), "meta")
    assert is_lazy(made)
    assert made.device.type == "meta"


def test_nested_tensors_stand_in_for_themselves() -> None:
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
    for device in ("meta", "cpu"):
        made = stand_in(nested, device)  # type: ignore[arg-type]
        assert torch.equal(made.values(), nested.values())
        assert made.values().data_ptr() != nested.values().data_ptr()


def test_what_cannot_be_copied_becomes_zeros() -> None:
    class Unique(Packed):
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("there is one only")

        @classmethod
        def __torch_dispatch__(  # type: ignore[override]
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            raise NotImplementedError(str(func))

    made = stand_in(Unique(torch.ones(2, dtype=torch.int8), torch.ones(())), "cpu")
    assert type(made) is Tensor
    assert torch.equal(made, torch.zeros(2))


def test_blank_tensors_have_shape_type_and_strides() -> None:
    made = blank(torch.ones(3, 4, dtype=torch.float16).t(), "cpu")
    assert (made.shape, made.stride(), made.dtype, made.device.type) == ((4, 3), (1, 4), torch.float16, "cpu")


def test_hooks_of_pytorchs_own_distribution() -> None:
    def own(module: nn.Module, args: Any) -> None: ...

    def theirs(module: nn.Module, args: Any, more: int = 0) -> None: ...

    theirs.__module__ = "torch.distributed.somewhere"
    assert not comes_from_ranks(own)
    assert not comes_from_ranks(functools.partial(own))
    assert comes_from_ranks(theirs)
    assert comes_from_ranks(functools.partial(theirs, more=1))


@pytest.mark.filterwarnings("ignore:DTensor random operators")
def test_wholes_stand_in_for_parts(mesh: DeviceMesh) -> None:
    for values in (torch.randn(4, 3), torch.arange(12).view(4, 3)):
        for placement in (Shard(0), Replicate()):
            tensor = distribute_tensor(values.clone(), mesh, [placement])
            numbers = values if isinstance(placement, Replicate) else torch.zeros_like(values)
            for device in ("meta", "cpu"):
                made = stand_in(tensor, device)  # type: ignore[arg-type]
                assert (type(made), made.shape, made.dtype) == (Tensor, tensor.shape, tensor.dtype)
                assert made.is_meta is (device == "meta" and values.is_floating_point())
                assert made.is_meta or torch.equal(made, numbers)
    parameter = stand_in(nn.Parameter(distribute_tensor(torch.randn(4, 3), mesh, [Shard(1)])), "meta")
    assert isinstance(parameter, nn.Parameter)
    assert type(parameter) is nn.Parameter
