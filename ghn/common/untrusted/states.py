"""States that this library saved: plain values and tensors of any type and layout, out of an archive of `torch.save`.

What a released hypernetwork may hold is in `plain`; here is what the state of a user's network can hold besides.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.plain import STORAGE_TYPES, PlainTensor, Storage, StorageType, Token, tensor_names
from ghn.common.untrusted.source import ByteReader
from ghn.common.untrusted.torch_files import MAGIC, read_old, read_zip
from ghn.common.untrusted.unpickler import Budget, ClosedUnpickler, Constructor

LAYOUTS: Mapping[str, torch.layout] = MappingProxyType(
    {
        "torch.sparse_coo": torch.sparse_coo,
        "torch.sparse_csr": torch.sparse_csr,
        "torch.sparse_csc": torch.sparse_csc,
        "torch.sparse_bsr": torch.sparse_bsr,
        "torch.sparse_bsc": torch.sparse_bsc,
    }
)


class SparseTensor:
    """A sparse tensor as pickled: its layout, and what it consists of."""

    __slots__ = ("coalesced", "layout", "parts", "size")

    def __init__(
        self, layout: torch.layout, parts: tuple[PlainTensor, ...], size: tuple[int, ...], *, coalesced: bool = False
    ) -> None:
        self.layout, self.parts, self.size, self.coalesced = layout, parts, size, coalesced

    @property
    def bytes(self) -> int:
        """Size of all parts."""
        return sum(part.bytes for part in self.parts)

    def tensor(self) -> torch.Tensor:
        """The tensor; its indices are checked."""
        *indices, values = (part.tensor().clone() for part in self.parts)
        try:
            if self.layout is torch.sparse_coo:
                tensor = torch.sparse_coo_tensor(indices[0], values, self.size, check_invariants=True)
                return tensor.coalesce() if self.coalesced else tensor
            outer, inner = indices
            return torch.sparse_compressed_tensor(
                outer, inner, values, self.size, layout=self.layout, check_invariants=True
            )
        except (RuntimeError, TypeError, ValueError) as error:
            raise FormatError(f"is damaged: a sparse tensor does not fit its indices ({error})") from None


def _layout(arguments: tuple[Any, ...]) -> Token:
    match arguments:
        case (str() as name,) if name in LAYOUTS:
            return Token(name)
    raise FormatError("is damaged: a tensor has no known layout")


def _sparse(arguments: tuple[Any, ...]) -> SparseTensor:
    match arguments:
        case (Token(name="torch.sparse_coo"), (PlainTensor() as indices, PlainTensor() as values, size, *rest)):
            return SparseTensor(torch.sparse_coo, (indices, values), _size((size,)), coalesced=rest == [True])
        case (Token(name=name), (PlainTensor() as outer, PlainTensor() as inner, PlainTensor() as values, size)) if (
            name in LAYOUTS
        ):
            return SparseTensor(LAYOUTS[name], (outer, inner, values), _size((size,)))
    raise FormatError("is damaged: torch._utils._rebuild_sparse_tensor gets arguments that make no tensor")


def _size(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    match arguments:
        case (list() | tuple() as sizes,) if all(type(size) is int and 0 <= size < 1 << 62 for size in sizes):
            return tuple(sizes)
    raise FormatError("is damaged: a size consists of natural numbers")


def _typed(arguments: tuple[Any, ...]) -> PlainTensor:
    """A tensor of bytes that are numbers of a given type."""
    match arguments:
        case (Storage() as storage, offset, shape, strides, bool(), dict() as hooks, StorageType(dtype=dtype), *rest):
            if hooks or rest not in ([], [None], [{}]) or storage.dtype is not torch.uint8:
                raise FormatError("attaches hooks or more to a tensor (torch._utils._rebuild_tensor_v3)")
            size = storage.count // dtype.itemsize
            if storage.data is None or size * dtype.itemsize != storage.count:
                raise FormatError("is damaged: a tensor's elements are missing")
            return PlainTensor(Storage(dtype, size, storage.data), offset, shape, strides)
    raise FormatError("is damaged: torch._utils._rebuild_tensor_v3 gets arguments that make no plain tensor")


def _ordered(arguments: tuple[Any, ...]) -> OrderedDict[Any, Any]:
    if arguments:
        raise FormatError("fills a collections.OrderedDict by a call, which no state needs")
    return OrderedDict()


def _no_bytes(arguments: tuple[Any, ...]) -> memoryview:
    """Protocol 2 writes empty bytes as a call; others as text, see `plain`."""
    if arguments:
        raise FormatError("makes bytes by a call, which no state needs")
    return memoryview(b"")


_TYPES = [value for value in vars(torch).values() if isinstance(value, torch.dtype)]

NAMES: Mapping[str, object] = MappingProxyType(
    {
        "torch.ComplexFloatStorage": StorageType(torch.complex64),
        "torch.ComplexDoubleStorage": StorageType(torch.complex128),
        "torch.storage.UntypedStorage": StorageType(torch.uint8),
        "collections.OrderedDict": Constructor(_ordered),
        "__builtin__.bytes": Constructor(_no_bytes),
        "torch.Size": Constructor(_size),
        "torch.serialization._get_layout": Constructor(_layout),
        "torch._utils._rebuild_sparse_tensor": Constructor(_sparse),
        "torch._utils._rebuild_tensor_v3": Constructor(_typed),
        **{str(dtype): StorageType(dtype) for dtype in _TYPES if not dtype.is_complex or dtype.itemsize > 4},
    }
)


def read_state(data: memoryview) -> Any:
    """The value in an archive of `torch.save`.

    Args:
        data: The whole file.

    Returns:
        Plain values, bytes, and tensors with memory of their own.

    Raises:
        FormatError: If it is no such archive, is damaged, holds anything else, tensors that take twice its bytes, or
            more tensors than `most_tensors`.
    """
    if data[:4] != b"PK\x03\x04":
        raise FormatError("it is no zip archive of torch.save")
    return _with_tensors(read_zip(data, Budget(copied=len(data)), NAMES), len(data))


def read_saved(data: memoryview) -> Any:
    """The value in a file of `torch.save`, an archive or of the old layout; else as `read_state`."""
    if data[:4] == b"PK\x03\x04":
        return read_state(data)
    budget, reader = Budget(copied=len(data)), ByteReader(data)
    if ClosedUnpickler(reader, budget, {}).load() != MAGIC:
        raise FormatError("is no file of torch.save")
    names = {**tensor_names(budget), **STORAGE_TYPES, **NAMES}
    return _with_tensors(read_old(reader, budget, names), len(data))


def most_tensors(size: int) -> int:
    """How many tensors a file of so many bytes may hold: one without elements costs a pickle 5 bytes, memory 1,000."""
    return 10_000 + size // 256


def _with_tensors(value: Any, size: int) -> Any:
    """The value, whose lists and dictionaries are changed, with tensors in the place of the records of them.

    Args:
        value: As read.
        size: Of the file, in bytes.
    """
    most, number = 2 * size, most_tensors(size)
    whole = [value]
    made: dict[int, tuple[object, Any]] = {}
    # Not by recursion: containers may be nested deeply, shared or in a circle.
    seen, waiting = {id(whole)}, [whole]
    while waiting:
        container: Any = waiting.pop()
        for key, entry in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(entry, PlainTensor | SparseTensor | memoryview):
                if type(container) is tuple:
                    raise FormatError("holds a tensor in a tuple, where none belongs")
                if id(entry) not in made:
                    most -= len(entry) if isinstance(entry, memoryview) else entry.bytes
                    if most < 0:
                        raise FormatError("holds tensors that take more bytes than the file has")
                    number -= len(entry.parts) if isinstance(entry, SparseTensor) else 1
                    if number < 0:
                        raise FormatError(f"holds more than {most_tensors(size):,} tensors, too many for its size")
                    made[id(entry)] = entry, _made(entry)
                container[key] = made[id(entry)][1]
            elif type(entry) in (dict, OrderedDict, list, tuple) and id(entry) not in seen:
                seen.add(id(entry))
                waiting.append(entry)
            elif isinstance(entry, StorageType | Token | Storage | Constructor):
                raise FormatError("holds the name of something, not a value")
    return whole[0]


def _made(entry: PlainTensor | SparseTensor | memoryview) -> Any:
    if isinstance(entry, memoryview):
        return bytes(entry)
    return entry.tensor() if isinstance(entry, SparseTensor) else entry.tensor().clone()
