"""Damage: to bytes whatever they mean, and to the structure of JSON, pickles and archives, whose checksums then fit."""

from __future__ import annotations

import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

EXTREME = (0, 1, 2, 127, 128, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = ("", "x", "\x1b[2J", "a\nb", "\u202e", "\ud800", "</text><script>", "../../etc/passwd", "n" * 5000, "\0")


def flipped(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 2, 8))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def overwritten(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 2, 8))):
        data[draw.randrange(len(data))] = draw.choice((0, 0xFF, draw.randrange(256)))


def truncated(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def cut(data: bytearray, draw: random.Random) -> None:
    start, size = _stretch(data, draw)
    del data[start : start + size]


def doubled(data: bytearray, draw: random.Random) -> None:
    start, size = _stretch(data, draw)
    data[start:start] = data[start : start + size] * draw.choice((1, 1, 2, 50))


def zeroed(data: bytearray, draw: random.Random) -> None:
    start, size = _stretch(data, draw)
    data[start : start + size] = bytes(len(data[start : start + size]))


def moved(data: bytearray, draw: random.Random) -> None:
    start, size = _stretch(data, draw)
    piece = data[start : start + size]
    at = draw.randrange(len(data))
    data[at : at + len(piece)] = piece


def numbered(data: bytearray, draw: random.Random) -> None:
    """A field of four or eight bytes with an extreme number."""
    layout = draw.choice(("<I", "<Q", ">I", "<H", "<q"))
    number = draw.choice(EXTREME) % (1 << 8 * struct.calcsize(layout) - (layout == "<q"))
    at = draw.randrange(len(data))
    data[at : at + struct.calcsize(layout)] = struct.pack(layout, number)


def surplus(data: bytearray, draw: random.Random) -> None:
    data += draw.choice((b"x", bytes(100), draw.randbytes(20), data[: draw.randrange(len(data)) + 1]))


BYTES = (flipped, flipped, overwritten, truncated, cut, doubled, zeroed, moved, numbered, numbered, surplus)


def _stretch(data: bytearray, draw: random.Random) -> tuple[int, int]:
    return draw.randrange(len(data)), draw.choice((1, 2, 4, 16, 64, max(1, len(data) // 4)))


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The bytes after one to four strokes of damage."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        draw.choice(BYTES)(data, draw)
    return bytes(data)


def hostile_value(draw: random.Random) -> Any:
    """What does not belong anywhere."""
    simple: list[Any] = [None, True, False, -1, 0, 1.5, 1e308, -1e308, *TEXTS, *EXTREME, 10**300, 10**4000]
    return draw.choice(
        [*simple, [], {}, [draw.choice(simple)], {"a": draw.choice(simple)}, [[[]]] * 3, [1] * 1000, ["x", ["y", {}]]]
    )


def damaged_value(value: Any, draw: random.Random) -> Any:
    """Plain values with some replaced, lost, doubled or renamed; `value` itself may change."""
    whole = [value]
    for _ in range(draw.choice((1, 1, 2, 5))):
        container: Any = whole
        while True:
            keys = list(container) if isinstance(container, dict) else list(range(len(container)))
            if not keys:
                break
            key = draw.choice(keys)
            if isinstance(container[key], dict | list) and draw.random() < 0.8:
                container = container[key]
                continue
            _strike(container, key, draw)
            break
    return whole[0] if whole else None


def _strike(container: Any, key: Any, draw: random.Random) -> None:
    stroke = draw.randrange(5)
    if stroke == 0:
        del container[key]
    elif stroke == 1 and isinstance(container, dict):
        container[draw.choice(TEXTS)] = container.pop(key)
    elif stroke == 1:
        container.insert(key, container[key])
    elif stroke == 2 and type(container[key]) is int:
        container[key] += draw.choice((-1, 1, 2**31, -(2**40)))
    else:
        container[key] = hostile_value(draw)


def damaged_json(content: bytes, draw: random.Random) -> bytes:
    """A JSON text: its bytes, or its values."""
    stroke = draw.random()
    if stroke < 0.3:
        return damaged(content, draw)
    if stroke < 0.35:
        deep = draw.choice((100, 900, 20_000))
        return draw.choice((b"[" * deep, b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep))
    value = damaged_value(json.loads(content), draw)
    ascii_only = draw.random() < 0.7
    try:
        return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    except ValueError:
        return content


def damaged_pickle(content: bytes, draw: random.Random) -> bytes:
    """A pickle: its bytes, or operations lost, doubled, exchanged or given other arguments."""
    if draw.random() < 0.3:
        return damaged(content, draw)
    try:
        starts = [at for _, _, at in pickletools.genops(content) if at is not None]
    except ValueError:
        return damaged(content, draw)
    end = content.index(b".", starts[-1]) + 1
    parts = [content[start:stop] for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    for _ in range(draw.choice((1, 1, 2, 6))):
        at = draw.randrange(1, len(parts))
        _strike_operation(parts, at, draw)
    return b"".join(parts) + content[end:]


OPERATIONS = (
    b"N", b"]", b"}", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"e", b"u", b"a", b"s", b"R", b"b", b"\x81", b"Q",
    b"0", b"2", b"K\xff", b"J\xff\xff\xff\xff", b"\x8a\xff" + b"\x7f" * 255, b"G\x7f\xf0" + bytes(6), b"\x94",
    b"r\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"B\x04\x00\x00\x00abcd", b"U\x03a\x1bb",
    b"cos\nsystem\n", b"cbuiltins\nbytearray\n", b"cnumpy\nndarray\n", b"ccollections\nOrderedDict\n", b"h\x01", b".",
)  # fmt: skip


def _strike_operation(parts: list[bytes], at: int, draw: random.Random) -> None:
    stroke = draw.randrange(6)
    if stroke == 0 and len(parts) > 2:
        del parts[at]
    elif stroke == 1:
        parts[at : at + 1] = [parts[at]] * draw.choice((2, 2, 1000))
    elif stroke == 2:
        other = draw.randrange(1, len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    elif stroke == 3:
        parts[at] = draw.choice(parts)
    elif stroke == 4:
        parts.insert(at, draw.choice(OPERATIONS))
    else:
        parts[at] = parts[at][:1] + damaged(parts[at][1:], draw) if len(parts[at]) > 1 else draw.choice(OPERATIONS)


def damaged_zip(content: bytes, draw: random.Random) -> bytes:
    """An archive: its bytes, or its records, with checksums that fit."""
    if draw.random() < 0.4:
        return damaged(content, draw)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice([name for name in records if name.endswith("data.pkl")] + list(records))
    harm: Callable[[bytes, random.Random], bytes] = damaged_pickle if name.endswith(".pkl") else damaged
    records[name] = harm(records[name], draw) if records[name] else b"x"
    if draw.random() < 0.2:
        del records[draw.choice(list(records))]
    buffer = io.BytesIO()
    compression = draw.choice((zipfile.ZIP_STORED,) * 5 + (zipfile.ZIP_DEFLATED,))
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for key, value in records.items():
            archive.writestr(key, value)
    return buffer.getvalue()
