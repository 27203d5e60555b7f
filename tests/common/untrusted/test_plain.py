"""Stand-ins for what pickles refer to: only what makes plain tensors is taken, and those are what they were."""

import _codecs
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from ghn.checkpoint import CheckpointError
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import PlainTensor, Storage, array_strides
from ghn.model import from_pretrained
from tests.checkpoint.pickles import Call, old_torch, storage_of, strided, tensor_with_hooks, typed_storage

ADMITTED_CALLS = {
    "hooks of admitted names": (lambda: tensor_with_hooks(OrderedDict(a=1)), "hooks"),
    "tensor from nothing": (lambda: Call(torch._utils._rebuild_tensor_v2, 1, 2), "_rebuild_tensor_v2"),
    "tensor with 9 axes": (
        lambda: Call(torch._utils._rebuild_tensor_v2, storage_of(old_torch(typed_storage())), 0, (1,) * 9, (1,) * 9),
        "9 axes",
    ),
    "negative offset": (lambda: strided(-1, (1,), (1,)), "offset"),
    "negative stride": (lambda: strided(1, (2,), (-1,)), "strides"),
    "shape of text": (lambda: strided(0, ("2",), (1,)), "shape"),
    "more elements than the storage": (lambda: strided(0, (3,), (1,)), "reaches beyond its storage of 2 elements"),
    "offset beyond the storage": (lambda: strided(1, (2,), (1,)), "reaches beyond its storage"),
    "stride beyond the storage": (lambda: strided(0, (2,), (2,)), "reaches beyond its storage"),
    "one element shown often": (lambda: strided(0, (3, 1), (0, 0)), "reaches beyond its storage"),
    "terabytes from one element": (lambda: strided(0, (1 << 20, 1 << 20), (0, 0)), r"declares tensors of [\d,]+ bytes"),
    "filled OrderedDict": (lambda: Call(OrderedDict, [("a", 1)]), "OrderedDict"),
    "other encoding": (lambda: Call(_codecs.encode, "a", "rot13"), "_codecs.encode"),
    "other dtype": (lambda: np.dtype("complex64"), "dtype 'c8'"),
    "big-endian": (lambda: np.ones(2, ">f4"), "big-endian"),
    "structured": (lambda: np.zeros(2, np.dtype([("a", "f4")])), "dtype 'V4'"),
    "text array": (lambda: np.array(["abc"]), "dtype 'U3'"),
    "array subclass": (lambda: np.ma.array([1.0]), "numpy.ma"),
    "state of a dictionary": (lambda: Call(OrderedDict, state={"a": 1}), "sets the state"),
    "state of a tensor": (
        lambda: Call(
            torch._utils._rebuild_tensor_v2, storage_of(old_torch(typed_storage())), 0, (2,), (1,), state=(1, 2)
        ),
        "state of a tensor",
    ),
    "call of a class token": (lambda: Call(np.ndarray, (2,)), "calls a value"),
    "big integer key": (lambda: {1 << 70: 1}, "key"),
    "tuple key": (lambda: {(1, 2): 1}, "key"),
    "parameter of a number": (
        lambda: Call(torch._utils._rebuild_parameter, 1, True, OrderedDict()),
        "_rebuild_parameter",
    ),
}


@pytest.mark.parametrize("case", ADMITTED_CALLS)
def test_admitted_names_take_only_what_plain_tensors_give_them(tmp_path: Path, case: str) -> None:
    make, message = ADMITTED_CALLS[case]
    (tmp_path / "odd.pt").write_bytes(pickle.dumps({"a": make()}, protocol=2))
    with pytest.raises(CheckpointError, match=message):
        from_pretrained(tmp_path / "odd.pt")


def storage(count: int = 12, dtype: torch.dtype = torch.float32) -> tuple[Storage, torch.Tensor]:
    numbers = torch.arange(count).to(dtype)
    return Storage(dtype, count, memoryview(bytearray(numbers.view(torch.uint8).numpy()))), numbers


VIEWS = {
    "single number": (11, (), ()),
    "no elements": (0, (0,), (1,)),
    "no elements, beyond the end": (40, (3, 0), (1, 1)),
    "all": (0, (3, 4), (4, 1)),
    "transposed": (0, (4, 3), (1, 4)),
    "every other": (1, (2, 3), (6, 2)),
    "repeated": (5, (2, 3), (0, 0)),
    "axes of one element with long strides": (3, (1, 2, 1), (99, 8, 99)),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8])
@pytest.mark.parametrize("case", VIEWS)
def test_views(case: str, dtype: torch.dtype) -> None:
    offset, shape, strides = VIEWS[case]
    whole, numbers = storage(dtype=dtype)
    plain = PlainTensor(whole, offset, shape, strides)
    if 0 in shape:
        assert plain.tensor().shape == shape
    else:
        assert plain.tensor().equal(numbers.as_strided(shape, strides, offset))
    assert plain.tensor().dtype == plain.dtype == dtype
    assert plain.bytes == plain.tensor().numel() * dtype.itemsize


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(12, (), ()), (0, (13,), (1,)), (0, (3, 4), (5, 1)), (0, (13, 1), (0, 0))]
)
def test_views_beyond_the_storage(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="reaches beyond its storage of 12 elements"):
        PlainTensor(storage()[0], offset, shape, strides).tensor()


@pytest.mark.parametrize("data", [None, memoryview(b""), memoryview(bytes(47)), memoryview(bytes(49))])
def test_storages_without_their_bytes(data: memoryview | None) -> None:
    with pytest.raises(FormatError, match="a tensor's elements are missing"):
        PlainTensor(Storage(torch.float32, 12, data), 0, (3,), (1,)).tensor()


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "message"),
    [
        (True, (1,), (1,), "offset is no natural number"),
        (0, [1], (1,), "shape is no tuple"),
        (0, (1,), (1.0,), "strides is no natural number"),
        (0, (1 << 62,), (1,), "shape is no natural number"),
        (0, (1, 1), (1,), "2 axes and 1 strides"),
    ],
)
def test_numbers_that_make_no_view(offset: object, shape: object, strides: object, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        PlainTensor(storage()[0], offset, shape, strides)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (4, 1, 3), (2, 3, 4, 5)])
def test_array_strides_are_those_of_numpy(shape: tuple[int, ...], order: str) -> None:
    array = np.empty(shape, dtype=np.int8, order=order)  # type: ignore[call-overload]
    assert array_strides(shape, fortran=order == "F") == array.strides
