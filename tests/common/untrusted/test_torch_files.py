"""Files of torch.save whose parts do not fit each other, in both layouts."""

import io
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.checkpoint import CheckpointError
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import STORAGE_TYPES, PlainTensor, tensor_names
from ghn.common.untrusted.source import ByteReader
from ghn.common.untrusted.torch_files import MAGIC, PROTOCOL, read_old, read_zip
from ghn.common.untrusted.unpickler import Budget, ClosedUnpickler
from ghn.model import from_pretrained
from tests.checkpoint.files import FORMATS, dumped, random_state

VALUE = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(7, dtype=torch.int8), "c": [torch.zeros(0)]}


def test_torch_script_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(FORMATS["torch"](random_state()))) as source,
        zipfile.ZipFile(buffer, "w") as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr(name.partition("/")[0] + "/constants.pkl", b"")
    (tmp_path / "script.pt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="TorchScript"):
        from_pretrained(tmp_path / "script.pt")


def plain(value: Any) -> Any:
    """The same with tensors."""
    if isinstance(value, PlainTensor):
        return value.tensor()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def assert_same(found: Any) -> None:
    assert found.keys() == VALUE.keys()
    torch.testing.assert_close(plain(found), VALUE, rtol=0, atol=0)


# Zip layout


def repacked(changes: Mapping[str, bytes | None], top: str | None = None) -> memoryview:
    """A file of torch.save with some records replaced, added or (None) left out, perhaps under another folder."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(dumped(torch.save, VALUE))) as source,
        zipfile.ZipFile(buffer, "w") as target,
    ):
        records = {name.partition("/")[2]: source.read(name) for name in source.namelist()}
        folder = source.namelist()[0].partition("/")[0] if top is None else top
        for name, content in {**records, **changes}.items():
            if content is not None:
                target.writestr(f"{folder}/{name}", content)
    return memoryview(bytearray(buffer.getvalue()))


@pytest.mark.parametrize("top", ["archive", "some name", "a/b"])
def test_zip_layout_whatever_its_folder(top: str) -> None:
    data = repacked({}, top)
    assert_same(read_zip(data, Budget(len(data))))


def test_zip_layout_of_a_time_without_byte_order() -> None:
    data = repacked({"byteorder": None})
    assert_same(read_zip(data, Budget(len(data))))


PICKLE = zipfile.ZipFile(io.BytesIO(dumped(torch.save, VALUE))).read("archive/data.pkl")

ZIPS: dict[str, tuple[Mapping[str, bytes | None], str]] = {
    "elements missing": ({"data/0": None}, "its record data/0 is missing"),
    "too few elements": ({"data/0": bytes(20)}, "a tensor's elements are missing"),
    "other byte order": ({"byteorder": b"big"}, "big-endian"),
    "script": ({"constants.pkl": b""}, "TorchScript archive"),
    "no pickle": ({"data.pkl": None}, "not one that torch.save made"),
    "two pickles": ({"other/data.pkl": PICKLE}, "not one that torch.save made"),
    "more behind the pickle": ({"data.pkl": PICKLE + b"x"}, "bytes follow its pickle"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_zip_parts_that_do_not_fit(case: str) -> None:
    changes, message = ZIPS[case]
    data = repacked(changes)
    with pytest.raises(FormatError, match=message):
        plain(read_zip(data, Budget(10 * len(data))))


def test_two_records_of_one_name() -> None:
    buffer = io.BytesIO(bytes(repacked({})))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("archive/data/0", bytes(24))
    with pytest.raises(FormatError, match="two records of one name"):
        read_zip(memoryview(buffer.getvalue()), Budget(10**6))


def test_prefixed_archives_are_read_where_the_prefix_is_counted() -> None:
    """Their offsets count from the archive's own start, which is not the file's."""
    data = memoryview(bytearray(b"prefix") + repacked({}))
    assert_same(read_zip(data, Budget(len(data))))


# Old layout


def old_parts() -> list[bytes]:
    """Magic number, protocol, system, object and keys of the old layout, each a pickle, then the elements."""
    rest = dumped(torch.save, VALUE, _use_new_zipfile_serialization=False)
    parts = []
    for _ in range(5):
        *_, (_, _, last) = pickletools.genops(rest)
        assert last is not None
        parts.append(rest[: last + 1])
        rest = rest[last + 1 :]
    return [*parts, rest]


def read(parts: list[bytes]) -> Any:
    data = bytearray().join(parts)
    reader, budget = ByteReader(memoryview(data)), Budget(len(data))
    assert ClosedUnpickler(reader, budget, {}).load() == MAGIC
    return plain(read_old(reader, budget, {**tensor_names(budget), **STORAGE_TYPES}))


def test_old_layout() -> None:
    assert_same(read(old_parts()))


BIG_ENDIAN = {"protocol_version": PROTOCOL, "little_endian": False, "type_sizes": {}}

OLD: dict[str, tuple[int, bytes, str]] = {
    "other protocol": (1, pickle.dumps(1000, 2), "a protocol other than 1001"),
    "big-endian": (2, pickle.dumps(BIG_ENDIAN, 2), "big-endian"),
    "no system": (2, pickle.dumps([], 2), "big-endian"),
    "no keys": (4, pickle.dumps([], 2), "list of storages does not match"),
    "other keys": (4, pickle.dumps(["1", "2", "3"], 2), "list of storages does not match"),
    "keys of numbers": (4, pickle.dumps([1, 2, 3], 2), "list of storages does not match"),
    "keys in a dict": (4, pickle.dumps({}, 2), "list of storages does not match"),
    "no elements": (5, b"", "8 bytes are due"),
    "another size": (5, b"\1" + bytes(100), "the size of a storage is not what its tensors say"),
}


@pytest.mark.parametrize("case", OLD)
def test_old_parts_that_do_not_fit(case: str) -> None:
    place, content, message = OLD[case]
    parts = old_parts()
    parts[place] = content
    with pytest.raises(FormatError, match=message):
        read(parts)


def test_old_layout_has_an_end() -> None:
    with pytest.raises(FormatError, match="1 bytes follow its last storage"):
        read([*old_parts(), b"x"])
