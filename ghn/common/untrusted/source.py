"""Bytes of an untrusted file: mapped into memory, decompressed within a bound, and read without trusting any length.

joblib recognises its compressors by their first bytes; so does this.
"""

from __future__ import annotations

import bz2
import io
import lzma
import mmap
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.opening import open_regular

CHUNK = 1 << 20
LZMA_MEMORY = 80 << 20
FREE_SIZE = 48 << 20
EXPANSION = 6
LARGEST = 16 << 30


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _ZlibDecoder:
    """`zlib.decompressobj` with the interface that bz2 and lzma share."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


# A crafted lzma header may ask for 4 GiB of dictionary, hence the limit; level 9 needs 64 MiB.
_DECODERS: dict[bytes, tuple[str, Callable[[], _Decoder]]] = {
    b"\x78": ("zlib", lambda: _ZlibDecoder(zlib.MAX_WBITS)),
    b"\x1f\x8b": ("gzip", lambda: _ZlibDecoder(16 + zlib.MAX_WBITS)),
    b"BZh": ("bz2", bz2.BZ2Decompressor),
    b"\x5d\x00": ("lzma", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY)),
    b"\xfd7zXZ": ("xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)),
}
_REFUSED = {
    b"\x04\x22\x4d\x18": "is compressed with lz4, which is not supported; write it again with another compressor",
    b"ZF": "was written by joblib older than 0.10, which is not supported; write it again with a current joblib",
}


def open_bytes(path: Path) -> memoryview:
    """Content of a file, decompressed if joblib compressed it.

    Args:
        path: A regular file.

    Returns:
        A window on memory: of files beyond 48 MiB a private map (of the file, or of an unnamed temporary file with the
        decompressed bytes), so that nothing is read before it is used. Writable, but never written; the file cannot be
        changed through it.

    Raises:
        FormatError: If there is no such regular file, it is empty, damaged, or expands to more than
            max(48 MiB, 6 times its size) or 16 GiB.
    """
    try:
        with open_regular(path) as file:
            data = _map(file)
        for prefix, reason in _REFUSED.items():
            if data[: len(prefix)] == prefix:
                raise FormatError(reason)
        for prefix, (name, make) in _DECODERS.items():
            if data[: len(prefix)] == prefix:
                return _decompressed(data, name, make())
    except OSError as error:
        raise FormatError(f"cannot be read ({error.strerror or error})") from None
    return data


def _map(file: IO[bytes]) -> memoryview:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise FormatError("is empty")
    if size > FREE_SIZE:
        # A private map: torch warns about read-only buffers, and pages nobody writes are never copied.
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    # A map would end the process where somebody cuts the file short meanwhile, and change where he writes to it.
    memory = memoryview(mmap.mmap(-1, size))
    file.seek(0)
    if file.readinto(memory) != size:  # type: ignore[attr-defined]
        raise FormatError("was cut short while it was read")
    return memory


def _decompressed(data: memoryview, name: str, decoder: _Decoder) -> memoryview:
    limit = min(LARGEST, max(FREE_SIZE, EXPANSION * len(data)))
    with tempfile.TemporaryFile() as file:
        for block in _blocks(data, name, decoder):
            file.write(block)
            if file.tell() > limit:
                raise FormatError(f"expands from {len(data):,} to more than {limit:,} bytes, which no sound file does")
        file.flush()
        return _map(file)


def _blocks(data: memoryview, name: str, decoder: _Decoder) -> Iterator[bytes]:
    position = 0
    while not decoder.eof:
        piece = b""
        if decoder.needs_input:
            if position >= len(data):
                raise FormatError(f"is truncated: its {name} compression ends early")
            piece = bytes(data[position : position + CHUNK])
            position += CHUNK
        try:
            block = decoder.decompress(piece, CHUNK)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise FormatError(f"is damaged: its {name} compression does not decode ({error})") from None
        yield block
    if position < len(data) or decoder.unused_data:
        raise FormatError(f"is damaged: bytes follow the end of its {name} compression")


class ByteReader(io.RawIOBase):
    """Sequential reader of a window of memory that never hands out, or allocates, more than there is."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.position = 0

    @property
    def remaining(self) -> int:
        """Bytes after the current position."""
        return len(self.data) - self.position

    def take(self, count: int) -> memoryview:
        """Exactly the next `count` bytes, not copied.

        Raises:
            FormatError: If fewer are left.
        """
        if count > self.remaining:
            raise FormatError(
                f"is truncated or damaged: {count:,} bytes are due at byte {self.position:,}, {self.remaining:,} left"
            )
        start, self.position = self.position, self.position + count
        return self.data[start : self.position]

    def take_line(self, limit: int = 512) -> bytes:
        """The bytes up to the next newline, without it.

        Raises:
            FormatError: If there is none within `limit` bytes.
        """
        line, newline, _ = bytes(self.data[self.position : self.position + limit]).partition(b"\n")
        if not newline:
            raise FormatError(f"is truncated or damaged: no end of line after byte {self.position:,}")
        self.position += len(line) + 1
        return line

    # The file interface that `zipfile` needs.
    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: len(self.data)}[whence]
        if start + offset < 0:
            raise OSError("seek before the start")
        self.position = start + offset
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        end = len(self.data) if size is None or size < 0 else self.position + size
        block = bytes(self.data[self.position : end])
        self.position += len(block)
        return block
