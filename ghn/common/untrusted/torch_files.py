"""Files of `torch.save`, both layouts, read by the closed unpickler alone.

Zip layout (since torch 1.6): an archive of stored, uncompressed records: `<top>/data.pkl`, whose persistent ids name
the records `<top>/data/<key>` with the elements, and `<top>/byteorder`.
Old layout, also what `torch.storage._load_from_bytes` holds inside ordinary pickles: pickles of a magic number, a
protocol number and the system's sizes; the pickled object; the list of storage keys; then for each key the number of
elements (8 bytes) and the elements.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import STORAGE_TYPES, Storage, StorageType, tensor_names
from ghn.common.untrusted.source import ByteReader
from ghn.common.untrusted.unpickler import Budget, ClosedUnpickler, Constructor

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def _storage_id(identity: object) -> tuple[str, Storage]:
    """The key and the still empty storage that a persistent id names."""
    match identity:
        case ("storage", StorageType(dtype=dtype), str() as key, str(), int() as count, *view):
            if view not in ([], [None]):
                raise FormatError("holds views of storages, as torch before 0.4 wrote them: not supported")
            if type(count) is int and 0 <= count < 1 << 48:
                return key, Storage(dtype, count)
    raise FormatError("is damaged: a persistent id names no storage of plain numbers")


def read_old(reader: ByteReader, budget: Budget, names: Mapping[str, object]) -> Any:
    """Read the old layout behind its magic number, to the end.

    Args:
        reader: Stands behind the first pickle, which held `MAGIC`.
        budget: Of the whole file.
        names: Admitted in the object's pickle, storage types among them.

    Returns:
        The object, in which tensors are `PlainTensor`.

    Raises:
        FormatError: For anything that is not admitted, and for damaged data.
    """
    storages: dict[str, Storage] = {}

    def persistent(identity: object) -> Storage:
        key, storage = _storage_id(identity)
        return storages.setdefault(key, storage)

    if ClosedUnpickler(reader, budget, {}).load() != PROTOCOL:
        raise FormatError(f"is a torch file of a protocol other than {PROTOCOL}")
    system = ClosedUnpickler(reader, budget, {}).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise FormatError("was written on a big-endian machine, which is not supported")
    value = ClosedUnpickler(reader, budget, names, persistent).load()
    keys = ClosedUnpickler(reader, budget, {}).load()
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages):
        raise FormatError("is damaged: its list of storages does not match its tensors")
    for key in keys:
        storage = storages[key]
        if struct.unpack("<q", reader.take(8))[0] != storage.count:
            raise FormatError("is damaged: the size of a storage is not what its tensors say")
        storage.data = reader.take(storage.count * storage.dtype.itemsize)
    if reader.remaining:
        raise FormatError(f"is damaged: {reader.remaining:,} bytes follow its last storage")
    return value


def storage_loader(budget: Budget) -> Constructor:
    """Stand-in for `torch.storage._load_from_bytes`, which would unpickle its argument with all that pickles can do."""

    def load(arguments: tuple[Any, ...]) -> Storage:
        match arguments:
            case (memoryview() as data,):
                budget.nest(len(data))
                reader = ByteReader(data)
                if ClosedUnpickler(reader, budget, {}).load() == MAGIC:
                    value = read_old(reader, budget, STORAGE_TYPES)
                    if isinstance(value, Storage):
                        return value
        raise FormatError("is damaged: torch.storage._load_from_bytes gets bytes that hold no storage")

    return Constructor(load)


def read_zip(data: memoryview, budget: Budget, names: Mapping[str, object] = MappingProxyType({})) -> Any:
    """Read the zip layout.

    Args:
        data: The whole file.
        budget: Of the whole file.
        names: Admitted besides those of plain tensors.

    Returns:
        The pickled object, in which tensors are `PlainTensor`.

    Raises:
        FormatError: For anything that is not admitted, and for damaged data.
    """
    records = _Records(data)
    storages: dict[str, Storage] = {}

    def persistent(identity: object) -> Storage:
        key, storage = _storage_id(identity)
        if key not in storages:
            storage.data = records.read(f"data/{key}")
            storages[key] = storage
        return storages[key]

    if "constants.pkl" in records:
        raise FormatError("is a TorchScript archive, which holds code; save its state_dict() instead")
    if "byteorder" in records and records.read("byteorder") != b"little":
        raise FormatError("was written on a big-endian machine, which is not supported")
    reader = ByteReader(records.read("data.pkl"))
    value = ClosedUnpickler(reader, budget, {**tensor_names(budget), **STORAGE_TYPES, **names}, persistent).load()
    if reader.remaining:
        raise FormatError("is damaged: bytes follow its pickle")
    return value


MAX_DIRECTORY = 2 << 20
"""Bytes of an archive's list of records: some 20,000 of them, which take 15 MB when they are read."""


class _DirectoryReader(ByteReader):
    """Gives `zipfile` the list of an archive's records, if that is of sensible length."""

    def read(self, size: int | None = -1) -> bytes:
        count = self.remaining if size is None or size < 0 else min(size, self.remaining)
        if count > MAX_DIRECTORY:
            raise FormatError(f"is a zip archive whose list of records takes {count:,} bytes, more than any sound one")
        return super().read(size)


class _Records:
    """Stored records of a torch archive by their name below its top folder."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        try:
            with zipfile.ZipFile(_DirectoryReader(data)) as archive:
                entries = archive.infolist()
        except FormatError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            raise FormatError(f"is a damaged or truncated zip archive ({shown(str(error))})") from None
        tops = [entry.filename.removesuffix("data.pkl") for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(tops) != 1:
            raise FormatError("is a zip archive, but not one that torch.save made")
        self._entries = {entry.filename.removeprefix(tops[0]): entry for entry in entries}
        if len(self._entries) != len(entries):
            raise FormatError("is a zip archive with two records of one name")
        # Each record is read, and summed up, once.
        if sum(entry.file_size for entry in entries) > len(data):
            raise FormatError("is damaged: the records of its zip archive lie on the same bytes")

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> memoryview:
        """The bytes of a record, not copied."""
        entry = self._entries.get(name)
        if entry is None:
            raise FormatError(f"is damaged: its record {shown(name)} is missing")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise FormatError(f"holds a compressed or encrypted record {shown(name)}, which torch.save never writes")
        if entry.header_offset < 0:  # zipfile corrects offsets by a possible prefix of the archive
            raise FormatError(f"is damaged: its record {shown(name)} starts before the file")
        reader = ByteReader(self._data)
        reader.seek(entry.header_offset)
        header = reader.take(30)
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        reader.take(name_length + extra_length)
        content = reader.take(entry.file_size)
        if header[:4] != b"PK\x03\x04" or zlib.crc32(content) != entry.CRC:
            raise FormatError(f"is damaged: the checksum of its record {shown(name)} is wrong")
        return content
