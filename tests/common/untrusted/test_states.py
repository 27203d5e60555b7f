"""States come back as they were saved, whatever tensors they hold, and nothing else comes back."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.states import read_saved, read_state
from tests.checkpoint.files import dumped


def read(value: Any) -> Any:
    return read_state(memoryview(bytearray(dumped(torch.save, value))))


def sparse(layout: str) -> Tensor:
    dense = torch.zeros(4, 6)
    dense[1, 2], dense[3, 0] = 2.0, 3.0
    if layout == "coo":
        return dense.to_sparse_coo()
    return getattr(dense, f"to_sparse_{layout}")(*([(2, 2)] if layout.startswith("b") else []))


TENSORS = {
    **{
        str(dtype): torch.ones(3).to(dtype) for dtype in (torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn)
    },
    "complex": torch.tensor([1 + 2j, 3 - 1j]),
    "complex double": torch.tensor([1 + 2j], dtype=torch.complex128),
    "not coalesced": torch.sparse_coo_tensor(
        torch.tensor([[0, 0]]), torch.tensor([1.0, 2.0]), (3,), check_invariants=True
    ),
    "parameter": nn.Parameter(torch.ones(2)),
    "strided": torch.arange(6.0).view(2, 3).t(),
    "large step on one element": torch.ones(4, 4)[:1, :1],
}


SPARSE = ("coo", "csr", "csc", "bsr", "bsc")


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("case", [*TENSORS, *SPARSE])
def test_tensors_come_back(case: str) -> None:
    tensor = sparse(case) if case in SPARSE else TENSORS[case]
    wanted = tensor.detach()
    (found,) = read([tensor])
    assert (found.dtype, found.layout, found.shape) == (wanted.dtype, wanted.layout, wanted.shape)
    assert found.layout is not torch.sparse_coo or found.is_coalesced() == wanted.is_coalesced()
    if wanted.layout is not torch.strided:
        found, wanted = found.to_dense(), wanted.to_dense()
    assert found.contiguous().view(torch.uint8).equal(wanted.contiguous().view(torch.uint8))


def test_plain_values_come_back() -> None:
    value = {"a": (1, 2.5, None, True, ("x",)), 0: b"bytes", "size": torch.Size([2, 3]), "in": [{"deep": [b""]}]}
    assert read(value) == value


def test_the_same_tensor_stays_the_same() -> None:
    tensor = torch.ones(1000)
    first, second = read([tensor, tensor])
    assert first is second


def test_cyclic_and_shared_lists_are_read_at_once() -> None:
    cyclic: list[Any] = [torch.ones(1)]
    cyclic.append(cyclic)
    shared: list[Any] = []
    for _ in range(50):
        shared = [shared] * 10
    found = read([cyclic, shared])
    assert isinstance(found[0][0], Tensor)
    assert found[0][1] is found[0]


class Called:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


INDICES, VALUES = torch.tensor([[0, 9]]), torch.ones(2)
REFUSED: dict[str, Any] = {
    "buffer by its size": Called(bytearray, 10**12),
    "sparse index outside": Called(
        torch._utils._rebuild_sparse_tensor, torch.sparse_coo, (INDICES, VALUES, torch.Size([3]), False)
    ),
    "sparse without values": Called(torch._utils._rebuild_sparse_tensor, torch.sparse_coo, (INDICES,)),
    "type as a value": torch.float32,
    "tensor in a tuple": (torch.ones(2),),
    "set": {1, 2},
    "on no device": torch.ones(3, device="meta"),
    "other layout": torch.strided,
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused(case: str) -> None:
    with pytest.raises(FormatError):
        read([REFUSED[case]])


def test_no_archive() -> None:
    buffer = io.BytesIO()
    torch.save([1], buffer, _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match="no zip archive"):
        read_state(memoryview(bytearray(buffer.getvalue())))


def test_states_of_modules_stay_what_they_are() -> None:
    """An ordered dictionary with the versions of modules, which `load_state_dict` asks for."""
    state = nn.Sequential(nn.BatchNorm1d(2)).state_dict()
    found = read(state)
    assert type(found) is type(state)
    assert vars(found)["_metadata"] == vars(state)["_metadata"]
    assert list(found) == list(state)


def test_files_of_the_old_layout() -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.arange(3), "b": [1.5, "x"]}, buffer, _use_new_zipfile_serialization=False)
    value = read_saved(memoryview(bytearray(buffer.getvalue())))
    assert value["b"] == [1.5, "x"]
    assert torch.equal(value["a"], torch.arange(3))
    assert read_saved(memoryview(bytearray(dumped(torch.save, [1])))) == [1]
    with pytest.raises(FormatError, match=r"is no file of torch\.save"):
        read_saved(memoryview(bytearray(pickle.dumps(5))))
    with pytest.raises(FormatError):
        read_saved(memoryview(bytearray(buffer.getvalue()[:-1])))


def again(count: int) -> bytes:
    """An archive of a tensor without elements that is made so many times, 5 bytes of the pickle each."""
    made = b"\x80\x02}\x8c\x01s](ctorch._utils\n_rebuild_tensor_v2\nq\x00"
    made += b"((\x8c\x07storagectorch\nFloatStorage\n\x8c\x010\x8c\x03cpuK\x00tQK\x00K\x00\x85K\x01\x85\x89}tq\x01R"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", made + b"h\x00h\x01R" * (count - 1) + b"es.")
        archive.writestr("a/data/0", b"")
    return file.getvalue()


def test_tensors_that_cost_no_bytes_are_counted() -> None:
    """A file of 650 KB made 130,000 tensors, in 130 MB."""
    assert len(read_state(memoryview(bytearray(again(10_000))))["s"]) == 10_000
    with pytest.raises(FormatError, match=r"more than 10,\d\d\d tensors"):
        read_state(memoryview(bytearray(again(12_000))))
