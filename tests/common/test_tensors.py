"""What tensors of any class and layout are made of."""

import pytest
import torch
from torch import Tensor, nn

from ghn.common.tensors import (
    digest_of_state,
    end,
    extent,
    has_dense_shape,
    holds_reals,
    is_allocated,
    is_opaque,
    memory,
    overlaps_itself,
    storage_of,
    without_class,
)
from tests.kinds import KEPT, WRITTEN, Noted, Packed

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*quantized tensor creation functions.*:UserWarning", "ignore:Sparse .* tensor support.*:UserWarning"
)


@pytest.mark.parametrize("kind", WRITTEN)
def test_memory_is_the_tensors_own(kind: str) -> None:
    tensor = WRITTEN[kind]()
    held = memory(tensor)
    assert held is not None
    assert type(held) is Tensor
    assert not held.requires_grad
    assert held.data_ptr() == tensor.data_ptr()
    assert is_allocated(held)
    assert not overlaps_itself(held)
    assert holds_reals(held.dtype)


@pytest.mark.parametrize("kind", ["coordinates", "compressed rows", "compressed blocks", "wrapper", "quantised"])
def test_only_the_class_or_layout_knows_the_memory(kind: str) -> None:
    tensor = KEPT[kind][0]()
    assert memory(tensor) is None
    assert is_opaque(tensor) is (kind == "wrapper")
    shape, strides, offset = extent(tensor)
    assert (shape, strides, offset) == ((8, 8), (8, 1), 0)
    assert (storage_of(tensor) is None) is (kind not in ("wrapper", "quantised"))


def test_freed_memory() -> None:
    held = memory(KEPT["freed"][0]())
    assert held is not None
    assert not is_allocated(held)
    assert is_allocated(torch.empty(0, 1 << 40))
    assert is_allocated(torch.empty(8, device="meta"))
    assert end(torch.empty(100).as_strided((3, 2), (10, 1), 5)) == 5 + 20 + 1 + 1
    assert end(torch.empty(0, 5)) == 0


@pytest.mark.parametrize(
    ("shape", "strides", "overlaps"),
    [
        ((8, 8), (8, 1), False),
        ((8, 8), (1, 8), False),
        ((8, 8), (0, 1), True),
        ((1, 8), (0, 1), False),
        ((1, 1), (0, 0), False),
        ((0, 8), (0, 0), False),
        ((4, 4), (1, 1), True),
        ((2, 2), (3, 2), False),
        ((3, 2), (2, 4), True),
        ((), (), False),
    ],
)
def test_elements_that_share_memory(shape: tuple[int, ...], strides: tuple[int, ...], overlaps: bool) -> None:
    tensor = torch.arange(100).as_strided(shape, strides, 7)
    assert overlaps_itself(tensor) is overlaps is (len(tensor.unique()) < tensor.numel())


def test_types_of_reals() -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2, torch.float8_e4m3fn):
        assert holds_reals(dtype)
    for name in ("int8", "bool", "complex64", "qint8", "float8_e8m0fnu", "float4_e2m1fn_x2"):
        assert not hasattr(torch, name) or not holds_reals(getattr(torch, name))


def test_nested_tensors_have_no_dense_shape() -> None:
    parts = [torch.zeros(2, 3), torch.zeros(4, 3)]
    for nested in (torch.nested.nested_tensor(parts, layout=torch.jagged),):
        assert not has_dense_shape(nested)
        assert memory(nested) is None
        assert extent(nested) == ((18,), (1,), 0)
    assert has_dense_shape(torch.zeros(2, 3))


def test_classes_of_functions_are_passed_by() -> None:
    tensor = Noted(torch.ones(3))
    assert type(without_class(tensor)) is Tensor
    assert without_class(tensor).numel() == 3
    parameter, packed = nn.Parameter(torch.ones(3)), Packed.pack(torch.ones(3))
    assert without_class(parameter) is parameter
    assert without_class(packed) is packed


def test_a_digest_tells_names_kinds_shapes_and_numbers_apart() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    base: dict[str, object] = {"a": torch.arange(6.0), "b": half}
    others: list[dict[str, object]] = [
        {"a": torch.arange(6.0).flip(0), "b": base["b"]},
        {"a": torch.arange(6.0).view(2, 3), "b": base["b"]},
        {"c": base["a"], "b": base["b"]},
        {"a": base["a"], "b": half.half()},
        {**base, "extra": None},
        {"a": base["a"]},
    ]
    digests = [digest_of_state(state) for state in (base, *others)]
    assert len(set(digests)) == len(digests)
    # Strides are no matter.
    assert digest_of_state({"a": torch.arange(12.0)[::2] / 2, "b": base["b"]}) == digests[0]
