"""Inert stand-ins for the few names that pickled tensors and arrays refer to.

Nothing here is a tensor until `PlainTensor.tensor` makes one, after the whole pickle was read; until then all values
are records of numbers and windows of bytes, so that a pickle has nothing to call and nothing to fill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.source import ByteReader
from ghn.common.untrusted.unpickler import Budget, Buildable, Constructor

MAX_AXES = 8


@dataclass(slots=True)
class Storage:
    """The elements behind tensors.

    Attributes:
        dtype: Their type.
        count: How many there are.
        data: Their bytes; None until the block was found (old torch files put them behind the pickle).
    """

    dtype: torch.dtype
    count: int
    data: memoryview | None = None


@dataclass(frozen=True, slots=True)
class StorageType:
    """The class of a torch storage, which files of torch.save name in persistent ids."""

    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Token:
    """A name that may stand in arguments but cannot be called."""

    name: str


class PlainTensor(Buildable):
    """A strided view of a storage, as pickled, not yet checked.

    Attributes:
        shape: Sizes.
        strides: Steps along each axis, in elements.
        offset: First element.
        storage: The elements.
    """

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: Storage, offset: object, shape: object, strides: object) -> None:
        self.storage = storage
        self.offset = _natural(offset, "offset")
        self.shape = _naturals(shape, "shape")
        self.strides = _naturals(strides, "strides")
        if len(self.shape) != len(self.strides):
            raise FormatError(f"holds a tensor of {len(self.shape)} axes and {len(self.strides)} strides")

    def build(self, state: object, reader: ByteReader) -> None:
        raise FormatError("sets the state of a tensor, which plain tensors never need")

    @property
    def dtype(self) -> torch.dtype:
        """Type of the elements."""
        return self.storage.dtype

    @property
    def bytes(self) -> int:
        """Size if stored without gaps."""
        return math.prod(self.shape) * self.dtype.itemsize

    def tensor(self) -> torch.Tensor:
        """The tensor, sharing memory with the file's window.

        Raises:
            FormatError: If it reaches beyond its storage or has more elements than that.
        """
        storage = self.storage
        if storage.data is None or len(storage.data) != storage.count * storage.dtype.itemsize:
            raise FormatError("is damaged: a tensor's elements are missing")
        count = math.prod(self.shape)
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if count and (last >= storage.count or count > storage.count):
            raise FormatError(
                f"is damaged: a tensor of shape {shown(self.shape)} reaches beyond its storage "
                f"of {storage.count:,} elements"
            )
        if not count:
            if math.prod(size for size in self.shape if size) >= 1 << 62:
                raise FormatError(f"is damaged: no tensor has the shape {shown(self.shape)}")
            return torch.empty(self.shape, dtype=storage.dtype)
        # Along an axis of one element there is no step, whatever is written.
        strides = [step if size > 1 else 1 for size, step in zip(self.shape, self.strides, strict=True)]
        return torch.frombuffer(storage.data, dtype=storage.dtype).as_strided(self.shape, strides, self.offset)


def _natural(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise FormatError(f"is damaged: a tensor's {what} is no natural number")
    return value


def _naturals(values: object, what: str) -> tuple[int, ...]:
    if type(values) is not tuple:
        raise FormatError(f"is damaged: a tensor's {what} is no tuple")
    if len(values) > MAX_AXES:  # before anything multiplies them
        raise FormatError(f"is damaged: no tensor has {len(values):,} axes")
    return tuple(_natural(value, what) for value in values)


def _rebuild_tensor(arguments: tuple[Any, ...]) -> PlainTensor:
    match arguments:
        case (Storage() as storage, offset, shape, strides):
            return PlainTensor(storage, offset, shape, strides)
        case (Storage() as storage, offset, shape, strides, bool(), hooks, *rest) if rest in ([], [None]):
            if not isinstance(hooks, dict) or hooks:
                raise FormatError("attaches hooks to a tensor (torch._utils._rebuild_tensor_v2)")
            return PlainTensor(storage, offset, shape, strides)
    raise FormatError("is damaged: torch._utils._rebuild_tensor_v2 gets arguments that make no plain tensor")


def _rebuild_parameter(arguments: tuple[Any, ...]) -> PlainTensor:
    match arguments:
        case (PlainTensor() as tensor, bool(), dict() as hooks) if not hooks:
            return tensor
    raise FormatError("is damaged: torch._utils._rebuild_parameter gets arguments that make no plain parameter")


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise FormatError("fills a collections.OrderedDict by a call, which plain tensors never need")
    return {}


def _encoder(budget: Budget) -> Constructor:
    """Stand-in for `_codecs.encode`, by which protocol 2 writes bytes as text."""

    def encode(arguments: tuple[Any, ...]) -> memoryview:
        match arguments:
            case (str() as text, "latin1"):
                budget.copy(len(text))
                try:
                    return memoryview(bytearray(text, "latin1"))
                except UnicodeEncodeError:
                    raise FormatError("is damaged: bytes written as text hold a letter that is no byte") from None
        raise FormatError("calls _codecs.encode for something else than bytes")

    return Constructor(encode)


_NUMPY_DTYPES = MappingProxyType(
    {
        "f2": torch.float16,
        "f4": torch.float32,
        "f8": torch.float64,
        "i1": torch.int8,
        "i2": torch.int16,
        "i4": torch.int32,
        "i8": torch.int64,
        "u1": torch.uint8,
        "b1": torch.bool,
    }
)


class NumpyDtype(Buildable):
    """A numpy type of plain numbers."""

    __slots__ = ("code", "dtype")

    def __init__(self, code: str) -> None:
        self.code = code
        self.dtype = _NUMPY_DTYPES[code]

    def build(self, state: object, reader: ByteReader) -> None:
        if type(state) is tuple and len(state) > 1:
            state = (state[0], _text(state[1]), *state[2:])
        match state:
            case (int(), "<" | "|", None, None, None, -1, -1, 0):
                return
            case (int(), ">", *_):
                raise FormatError(f"holds big-endian numpy data (dtype '>{self.code}'), which is not supported")
        raise FormatError(f"holds a numpy dtype '{self.code}' with fields or metadata")


def _text(value: object) -> object:
    """Short bytes as text, which is what Python 2 wrote for it; all else as it is."""
    return str(value, "latin-1") if type(value) is memoryview and len(value) <= 8 else value


def _numpy_dtype(arguments: tuple[Any, ...]) -> NumpyDtype:
    match tuple(map(_text, arguments)):
        case (str() as code, bool() | int(), bool() | int()) if code in _NUMPY_DTYPES:
            return NumpyDtype(code)
        case (str() as code, *_) if code.startswith("O"):
            raise FormatError(f"holds an object array (numpy dtype '{shown(code)}'), which may run code when loaded")
        case (str() as code, *_):
            raise FormatError(f"holds numpy data of dtype '{shown(code)}', not of plain numbers")
    raise FormatError("is damaged: numpy.dtype gets arguments that make no type of plain numbers")


def _numpy_scalar(arguments: tuple[Any, ...]) -> float | int | bool:
    match arguments:
        case (NumpyDtype(code=code, dtype=dtype), memoryview() as data) if len(data) == dtype.itemsize:
            return np.frombuffer(data, dtype=np.dtype(f"<{code}")).item()
    raise FormatError("is damaged: numpy.core.multiarray.scalar gets arguments that make no number")


def array_strides(shape: tuple[int, ...], fortran: bool) -> tuple[int, ...]:
    """Steps, in elements, of an array without gaps in C or Fortran order."""
    strides, step = [], 1
    for size in shape if fortran else reversed(shape):
        strides.append(step)
        step *= size
    return tuple(strides if fortran else reversed(strides))


class NumpyArray(PlainTensor):
    """An array that numpy pickled: content, shape and type come by `BUILD`."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Storage(torch.float32, 0), 0, (0,), (1,))

    def build(self, state: object, reader: ByteReader) -> None:
        match state:
            case (1, tuple() as shape, NumpyDtype(dtype=dtype), bool() as fortran, memoryview() as data):
                self._fill(shape, dtype, fortran, data)
                return
        raise FormatError("is damaged: the state of a numpy array is no array of plain numbers")

    def _fill(self, shape: object, dtype: torch.dtype, fortran: bool, data: memoryview) -> None:
        sizes = _naturals(shape, "shape")
        count = math.prod(sizes)
        if count * dtype.itemsize != len(data):
            raise FormatError(f"is damaged: {len(data):,} bytes cannot fill an array of shape {shown(sizes)}")
        super().__init__(Storage(dtype, count, data), 0, sizes, array_strides(sizes, fortran))


class JoblibArray(NumpyArray):
    """An array whose bytes joblib wrote into the stream, right behind the pickled description."""

    __slots__ = ()

    def build(self, state: object, reader: ByteReader) -> None:
        padded = type(state) is dict and state.get("numpy_array_alignment_bytes") is not None
        match state:
            case {
                "subclass": Token("numpy.ndarray"),
                "shape": shape,
                "order": "C" | "F" as order,
                "dtype": NumpyDtype() as dtype,
            }:
                pass
            case _:
                raise FormatError("is damaged: joblib's description of an array is no array of plain numbers")
        # Since joblib 1.1: the length of the padding in one byte, then the padding, then the elements.
        if padded:
            reader.take(reader.take(1)[0])
        sizes = _naturals(shape, "shape")
        self._fill(sizes, dtype.dtype, order == "F", reader.take(math.prod(sizes) * dtype.dtype.itemsize))


def _numpy_reconstruct(arguments: tuple[Any, ...]) -> NumpyArray:
    match arguments:
        case (Token("numpy.ndarray"), (0,), memoryview()):
            return NumpyArray()
    raise FormatError("is damaged: numpy.core.multiarray._reconstruct gets arguments that make no array")


def _joblib_array(_: tuple[Any, ...]) -> JoblibArray:
    return JoblibArray()


_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

_TENSOR_NAMES: Mapping[str, object] = MappingProxyType(
    {
        "collections.OrderedDict": Constructor(_ordered_dict),
        "torch._utils._rebuild_tensor": Constructor(_rebuild_tensor),
        "torch._utils._rebuild_tensor_v2": Constructor(_rebuild_tensor),
        "torch._utils._rebuild_parameter": Constructor(_rebuild_parameter),
        "numpy.dtype": Constructor(_numpy_dtype),
        "numpy.ndarray": Token("numpy.ndarray"),
        **{f"{module}._reconstruct": Constructor(_numpy_reconstruct) for module in _NUMPY_MODULES},
        **{f"{module}.scalar": Constructor(_numpy_scalar) for module in _NUMPY_MODULES},
    }
)


def tensor_names(budget: Budget) -> dict[str, object]:
    """All that pickled dictionaries of tensors, parameters, numpy arrays and numbers refer to, whoever pickled them.

    Args:
        budget: Of the file.

    Returns:
        What each "module.name" stands for, see `ClosedUnpickler`.
    """
    return {**_TENSOR_NAMES, "_codecs.encode": _encoder(budget)}


JOBLIB_NAMES: Mapping[str, object] = MappingProxyType(
    {"joblib.numpy_pickle.NumpyArrayWrapper": Constructor(_joblib_array, bare=True)}
)
"""What joblib adds."""

STORAGE_TYPES: Mapping[str, StorageType] = MappingProxyType(
    {
        f"torch.{name}Storage": StorageType(dtype)
        for name, dtype in {
            "Half": torch.float16,
            "BFloat16": torch.bfloat16,
            "Float": torch.float32,
            "Double": torch.float64,
            "Char": torch.int8,
            "Short": torch.int16,
            "Int": torch.int32,
            "Long": torch.int64,
            "Byte": torch.uint8,
            "Bool": torch.bool,
        }.items()
    }
)
"""What torch.save adds."""
