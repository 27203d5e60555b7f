"""The closed pickle machine reads plain data as pickle does, and fails by FormatError only."""

import pickle
import pickletools
import resource
import struct
import time
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import JOBLIB_NAMES, STORAGE_TYPES, tensor_names
from ghn.common.untrusted.source import ByteReader
from ghn.common.untrusted.torch_files import storage_loader
from ghn.common.untrusted.unpickler import MAX_OPERATIONS, Budget, ClosedUnpickler
from tests.checkpoint.files import dumped


def load(data: bytes, names: dict[str, object] | None = None) -> Any:
    """The value of one pickle, which must end where the data end."""
    reader = ByteReader(memoryview(bytearray(data)))
    value = ClosedUnpickler(reader, Budget(copied=len(data)), names or {}).load()
    assert not reader.remaining
    return value


def all_names(size: int) -> dict[str, object]:
    """Everything that is admitted anywhere."""
    budget = Budget(copied=size)
    loader = {"torch.storage._load_from_bytes": storage_loader(budget)}
    return {**tensor_names(budget), **JOBLIB_NAMES, **STORAGE_TYPES, **loader}


def fault(data: bytes) -> str:
    """What is wrong with a pickle; empty if nothing is."""
    try:
        ClosedUnpickler(ByteReader(memoryview(bytearray(data))), Budget(copied=len(data)), all_names(len(data))).load()
    except FormatError as error:
        return str(error)
    return ""


keys = st.text(max_size=5) | st.integers(0, 2**32 - 1)
scalars = st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text()
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=30,
)


@given(value=plain, protocol=st.integers(2, 5))
def test_plain_data_is_read_as_pickle_reads_it(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


@given(value=st.binary(), protocol=st.integers(3, 5))
def test_bytes_are_windows_on_the_file(value: bytes, protocol: int) -> None:
    found = load(pickle.dumps(value, protocol))
    assert type(found) is memoryview
    assert found == value


def test_shared_and_cyclic_values_stay_shared() -> None:
    inner: list[Any] = [1]
    found = load(pickle.dumps({"a": inner, "b": inner}))
    assert found["a"] is found["b"]
    inner.append(inner)
    cyclic = load(pickle.dumps(inner))
    assert cyclic[1] is cyclic


@given(data=st.binary(max_size=60))
def test_random_bytes_raise_only_format_errors(data: bytes) -> None:
    assert fault(b"\x80\x04" + data).isprintable()


OPCODES = [operation.code.encode("latin-1") for operation in pickletools.opcodes]
NAMES = [name.rpartition(".")[::2] for name in all_names(0)]
pieces = st.one_of(
    st.sampled_from(OPCODES),
    st.binary(max_size=3),
    st.sampled_from(
        [b"K\x00", b"K\x02", b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"(", b"t", b"C\x04abcd", b"X\x01\x00\x00\x00a"]
    ),
    st.sampled_from(NAMES).map(lambda name: f"c{name[0]}\n{name[1]}\n".encode()),
)


@settings(max_examples=1000)
@given(parts=st.lists(pieces, max_size=30))
def test_random_programs_raise_only_format_errors(parts: list[bytes]) -> None:
    assert fault(b"\x80\x02" + b"".join(parts) + b".").isprintable()


GIGABYTES = struct.pack("<Q", 1 << 35)
BOMBS = {
    "memo index": (b"\x80\x04Nr\xff\xff\xff\xff.", None),
    "long text": (b"\x80\x04\x8d" + GIGABYTES + b"abc.", "truncated"),
    "long bytes": (b"\x80\x04\x8e" + GIGABYTES + b"abc.", "truncated"),
    "long bytearray": (b"\x80\x05\x96" + GIGABYTES + b"abc.", "BYTEARRAY8"),
    "long frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 63) + b"N.", None),
    "huge integer": (b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b"1.", "LONG4"),
    "name without end": (b"\x80\x02c" + b"a" * 10_000_000, "no end of line"),
    "many operations": (b"\x80\x02" + b"N" * (MAX_OPERATIONS + 5) + b".", "pickle operations"),
    "same text encoded often": (
        b"\x80\x02X"
        + struct.pack("<I", 10**6)
        + b"a" * 10**6
        + b"q\x00"
        + b"("
        + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 1000
        + b"t\x86.",
        "again and again",
    ),
    "deep nesting": (b"\x80\x02" + b"(" * 150_000 + b"t" * 150_000 + b".", None),
    "deep lists": (b"\x80\x02" + b"]" * 150_000 + b"a" * 149_999 + b".", None),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_small_pickles_do_little(bomb: str) -> None:
    data, message = BOMBS[bomb]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    if message is None:
        load(data, all_names(len(data)))
    else:
        with pytest.raises(FormatError, match=message):
            load(data, all_names(len(data)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # KiB
    assert time.process_time() - start < 30


def test_nested_pickles_share_the_budget() -> None:
    """A nested pickle referred to many times cannot multiply the work."""
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.ones(2).untyped_storage(), dtype=torch.float32, _internal=True
    )
    nested = dumped(torch.save, storage, _use_new_zipfile_serialization=False)
    call = b"ctorch.storage\n_load_from_bytes\nh\x00\x85R"
    data = b"\x80\x04(B" + struct.pack("<I", len(nested)) + nested + b"\x94" + call * 100 + b"t."

    def read(operations: int, times: int = 100) -> Any:
        budget = Budget(copied=times * len(nested), operations=operations)
        names = {"torch.storage._load_from_bytes": storage_loader(budget)}
        return ClosedUnpickler(ByteReader(memoryview(bytearray(data))), budget, names).load()

    assert len(read(10_000)) == 101
    with pytest.raises(FormatError, match="pickle operations"):
        read(2_000)
    # Of bytes that one operation reads, such as a long text, there may be many.
    with pytest.raises(FormatError, match="again and again"):
        read(10_000, times=99)
