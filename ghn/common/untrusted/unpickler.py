"""A closed pickle machine: it rebuilds plain data and a handful of named things, and cannot call anything else.

`pickle.Unpickler` with a restricted `find_class` is not enough here: `REDUCE` and `BUILD` would still call methods and
set attributes of whatever the admitted names return, and a single damaged byte (the index of `LONG_BINPUT`) makes its
memo grow to tens of gigabytes. This machine knows only the operations that data need; names are looked up in a table of
constants, which `REDUCE` may call only if the table says so; nothing is ever imported; every length is checked against
the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.source import ByteReader

MAX_OPERATIONS = 400_000
"""Above any real file: a training state of the largest hypernetwork takes under 100,000, CIFAR-100 some 200,000."""


LONGEST_NAME = 256
"""Bytes of a key."""


class Budget:
    """What one file, with all the pickles nested in it, may still use.

    Args:
        copied: Bytes that may be copied in total, and bytes of pickles within others that may be read; each piece of a
            sound file is copied once at most, and read once.
        operations: Pickle operations.
    """

    def __init__(self, copied: int, operations: int = MAX_OPERATIONS) -> None:
        self._copied = self._nested = copied
        self._operations = operations

    def operation(self) -> None:
        """Count one operation.

        Raises:
            FormatError: If there have been too many.
        """
        self._operations -= 1
        if self._operations < 0:
            raise FormatError(f"holds more than {MAX_OPERATIONS:,} pickle operations, far more than any sound file")

    def copy(self, size: int) -> None:
        """Count `size` bytes that are about to be copied.

        Raises:
            FormatError: If it would be more than the file holds.
        """
        self._copied = _left(self._copied, size)

    def nest(self, size: int) -> None:
        """Count `size` bytes of a pickle within the others.

        Raises:
            FormatError: If it would be more than the file holds.
        """
        self._nested = _left(self._nested, size)


def _left(budget: int, size: int) -> int:
    if size > budget:
        raise FormatError("uses the same bytes again and again, which no sound file does")
    return budget - size


@dataclass(frozen=True, slots=True)
class Constructor:
    """A function of ours that stands in for a name in the pickle.

    Attributes:
        call: Takes the pickled arguments as one tuple and returns an inert value.
        bare: Whether the pickle makes it by `NEWOBJ` (class without arguments) instead of a call.
    """

    call: Callable[[tuple[Any, ...]], object]
    bare: bool = False


class Buildable:
    """An inert value whose content comes in a second step (`BUILD`)."""

    __slots__ = ()

    def build(self, state: object, reader: ByteReader) -> None:
        """Take the pickled state; the reader stands behind the operation, where joblib puts array data."""
        raise NotImplementedError


_FIXED = {
    b"\x80": "<B",  # PROTO
    b"\x95": "<Q",  # FRAME
    b"J": "<i",
    b"K": "<B",
    b"M": "<H",
    b"G": ">d",
    b"h": "<B",
    b"j": "<I",
    b"q": "<B",
    b"r": "<I",
}
_COUNTED = {
    b"U": "<B",
    b"T": "<I",
    b"X": "<I",
    b"\x8c": "<B",
    b"\x8d": "<Q",
    b"B": "<I",
    b"C": "<B",
    b"\x8e": "<Q",
    b"\x8a": "<B",
}


class ClosedUnpickler:
    """Reads one pickle (protocols 2 to 5) from `reader` and leaves it standing behind the end of it.

    Args:
        reader: Where the pickle starts.
        budget: Shared by all pickles of a file.
        names: What each admitted "module.name" stands for; everything else is refused by name.
        persistent: What a persistent id stands for; by default they are refused.
    """

    def __init__(
        self,
        reader: ByteReader,
        budget: Budget,
        names: Mapping[str, object],
        persistent: Callable[[object], object] | None = None,
    ) -> None:
        self._reader = reader
        self._budget = budget
        self._names = names
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The pickled value: str, int, float, bool, None, memoryview (bytes), list, tuple, dict and the table's values.

        Raises:
            FormatError: For anything that is not admitted, and for damaged data.
        """
        while True:
            self._budget.operation()
            start = self._reader.position
            opcode = bytes(self._reader.take(1))
            if opcode == b".":
                value = self._pop()
                if self._stack or self._marks:
                    self._damaged()
                return value
            step = _STEPS.get(opcode)
            if step is None:
                raise FormatError(
                    f"is damaged, or no file of plain data: at byte {start:,} it holds {_operation(opcode)}, "
                    "not data of tensors"
                )
            step(self, self._argument(opcode))

    def _argument(self, opcode: bytes) -> Any:
        if layout := _FIXED.get(opcode):
            return struct.unpack(layout, self._reader.take(struct.calcsize(layout)))[0]
        if layout := _COUNTED.get(opcode):
            return self._reader.take(struct.unpack(layout, self._reader.take(struct.calcsize(layout)))[0])
        return None

    def _damaged(self) -> NoReturn:
        raise FormatError(
            f"is damaged, or no file of plain data: its pickle makes no sense before byte {self._reader.position:,}"
        )

    def _pop(self) -> Any:
        if not self._stack:
            self._damaged()
        return self._stack.pop()

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            self._damaged()
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        if not self._marks:
            self._damaged()
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _skip(self, _: object) -> None:
        pass

    def _text(self, data: memoryview) -> None:
        try:
            self._push(str(data, "utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            self._damaged()

    def _long(self, data: memoryview) -> None:
        self._push(int.from_bytes(data, "little", signed=True))

    def _mark(self, _: object) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _tuple(self, _: object) -> None:
        items = self._pop_mark()
        self._push(tuple(items))

    def _short_tuple(self, size: int) -> None:
        if len(self._stack) < size:
            self._damaged()
        items = tuple(self._stack[-size:])
        del self._stack[-size:]
        self._push(items)

    def _append(self, _: object) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _appends(self, _: object) -> None:
        items = self._pop_mark()
        self._top(list).extend(items)

    def _set_item(self, _: object) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def _set_items(self, _: object) -> None:
        items = self._pop_mark()
        self._update(items)

    def _update(self, items: list[Any]) -> None:
        target: Any = self._stack[-1] if self._stack else None
        if type(target) not in (dict, OrderedDict):
            self._damaged()
        if len(items) % 2:
            self._damaged()
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is memoryview and len(key) <= LONGEST_NAME:
                key = str(key, "latin-1")  # Python 2 and CIFAR write names as bytes
            # Hashing nested tuples would recurse without bound, and large integers can be made to collide.
            if type(key) is not str and not (type(key) is int and 0 <= key < 1 << 32):
                raise FormatError(f"holds a dictionary with {_kind(key)} as a key")
            target[key] = value

    def _put(self, index: int) -> None:
        if not self._stack:
            self._damaged()
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: object) -> None:
        self._put(len(self._memo))

    def _get(self, index: int) -> None:
        if index not in self._memo:
            self._damaged()
        self._push(self._memo[index])

    def _global(self, _: object) -> None:
        module, name = (self._reader.take_line().decode("utf-8", "replace") for _ in range(2))
        self._find(module, name)

    def _stack_global(self, _: object) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            self._damaged()
        self._find(module, name)

    def _find(self, module: str, name: str) -> None:
        wanted = f"{module}.{name}"
        if wanted not in self._names:
            raise FormatError(
                f"refers to {shown(wanted)}, which plain tensors do not need; it may be harmful and was not run"
            )
        self._push(self._names[wanted])

    def _reduce(self, _: object) -> None:
        arguments, constructor = self._pop(), self._pop()
        if type(arguments) is not tuple or type(constructor) is not Constructor or constructor.bare:
            raise FormatError(f"calls {_kind(constructor)}, which is no constructor of plain tensors")
        self._push(constructor.call(arguments))

    def _new_object(self, _: object) -> None:
        arguments, constructor = self._pop(), self._pop()
        if arguments != () or type(constructor) is not Constructor or not constructor.bare:
            raise FormatError(f"makes an object of {_kind(constructor)}, which is no class of plain tensors")
        self._push(constructor.call(()))

    def _build(self, _: object) -> None:
        state = self._pop()
        target = self._stack[-1] if self._stack else None
        if isinstance(target, Buildable):
            target.build(state, self._reader)
        # Module.state_dict() hangs the version of each module on its OrderedDict; all else is refused.
        elif type(target) not in (dict, OrderedDict) or type(state) is not dict or list(state) != ["_metadata"]:
            raise FormatError(f"sets the state of {_kind(target)}, which plain tensors never need")
        elif type(target) is OrderedDict:
            target.__dict__.update(state)

    def _persistent_id(self, _: object) -> None:
        if self._persistent is None:
            raise FormatError("holds a persistent id, which only files of torch.save have")
        self._push(self._persistent(self._pop()))


def _operation(opcode: bytes) -> str:
    """An opcode in words."""
    known = [operation.name for operation in pickletools.opcodes if operation.code == opcode.decode("latin-1")]
    return f"the pickle operation {known[0]}" if known else f"the byte {opcode[0]}"


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"


_Step = Callable[[ClosedUnpickler, Any], None]


def _constant(make: Callable[[], object]) -> _Step:
    return lambda machine, _: machine._push(make())


def _sized_tuple(size: int) -> _Step:
    return lambda machine, _: machine._short_tuple(size)


_STEPS: dict[bytes, _Step] = {
    b"\x80": ClosedUnpickler._skip,  # PROTO
    b"\x95": ClosedUnpickler._skip,  # FRAME
    b"N": _constant(lambda: None),
    b"\x88": _constant(lambda: True),
    b"\x89": _constant(lambda: False),
    b"J": ClosedUnpickler._push,  # BININT
    b"K": ClosedUnpickler._push,  # BININT1
    b"M": ClosedUnpickler._push,  # BININT2
    b"G": ClosedUnpickler._push,  # BINFLOAT
    b"\x8a": ClosedUnpickler._long,  # LONG1
    b"X": ClosedUnpickler._text,  # BINUNICODE
    b"\x8c": ClosedUnpickler._text,  # SHORT_BINUNICODE
    b"\x8d": ClosedUnpickler._text,  # BINUNICODE8
    b"U": ClosedUnpickler._push,  # SHORT_BINSTRING, the strings of Python 2
    b"T": ClosedUnpickler._push,  # BINSTRING
    b"B": ClosedUnpickler._push,  # BINBYTES
    b"C": ClosedUnpickler._push,  # SHORT_BINBYTES
    b"\x8e": ClosedUnpickler._push,  # BINBYTES8
    b"(": ClosedUnpickler._mark,
    b")": _constant(tuple),
    b"\x85": _sized_tuple(1),
    b"\x86": _sized_tuple(2),
    b"\x87": _sized_tuple(3),
    b"t": ClosedUnpickler._tuple,
    b"]": _constant(list),
    b"a": ClosedUnpickler._append,
    b"e": ClosedUnpickler._appends,
    b"}": _constant(dict),
    b"s": ClosedUnpickler._set_item,
    b"u": ClosedUnpickler._set_items,
    b"q": ClosedUnpickler._put,  # BINPUT
    b"r": ClosedUnpickler._put,  # LONG_BINPUT
    b"\x94": ClosedUnpickler._memoize,
    b"h": ClosedUnpickler._get,  # BINGET
    b"j": ClosedUnpickler._get,  # LONG_BINGET
    b"c": ClosedUnpickler._global,
    b"\x93": ClosedUnpickler._stack_global,
    b"R": ClosedUnpickler._reduce,
    b"\x81": ClosedUnpickler._new_object,
    b"b": ClosedUnpickler._build,
    b"Q": ClosedUnpickler._persistent_id,
}
