"""Files are mapped or decompressed within bounds; what is no regular file with content is refused in a line."""

import bz2
import contextlib
import gzip
import lzma
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.checkpoint import CheckpointError, convert_checkpoint
from ghn.common.untrusted import source
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.source import ByteReader, open_bytes

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE, preset=0),
    "xz": lambda data: lzma.compress(data, preset=0),
}


def random_bytes(size: int) -> bytes:
    return os.urandom(size // 2) + b"\x00" * (size - size // 2)


@pytest.mark.parametrize("size", [1, 100, source.CHUNK, 3 * source.CHUNK + 7])
@pytest.mark.parametrize("name", COMPRESSORS)
def test_decompresses_what_joblib_compresses(tmp_path: Path, name: str, size: int) -> None:
    content = random_bytes(size)
    (tmp_path / "file").write_bytes(COMPRESSORS[name](content))
    assert open_bytes(tmp_path / "file") == content


def test_plain_files_are_mapped_and_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x80abcdef")
    data = open_bytes(tmp_path / "file")
    data[0] = 0
    assert (tmp_path / "file").read_bytes() == b"\x80abcdef"


@pytest.mark.parametrize("name", COMPRESSORS)
def test_bombs_are_stopped(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "FREE_SIZE", 3 << 20)
    (tmp_path / "bomb").write_bytes(COMPRESSORS[name](b"\x00" * (64 << 20)))
    assert (tmp_path / "bomb").stat().st_size < 3 * 2**20 / source.EXPANSION
    with pytest.raises(FormatError, match=r"expands from [\d,]+ to more than 3,145,728 bytes"):
        open_bytes(tmp_path / "bomb")


@pytest.mark.parametrize("name", COMPRESSORS)
@pytest.mark.parametrize("keep", [8, 20, -4, -1])
def test_truncated_compression_is_refused(tmp_path: Path, name: str, keep: int) -> None:
    whole = COMPRESSORS[name](os.urandom(1000))
    (tmp_path / "file").write_bytes(whole[:keep])
    with pytest.raises(FormatError, match=r"truncated|damaged"):
        open_bytes(tmp_path / "file")


@pytest.mark.parametrize("name", COMPRESSORS)
def test_bytes_behind_the_compression_are_refused(tmp_path: Path, name: str) -> None:
    for more in (b"x", b"x" * (2 * source.CHUNK)):
        (tmp_path / "file").write_bytes(COMPRESSORS[name](b"abc") + more)
        with pytest.raises(FormatError, match="bytes follow"):
            open_bytes(tmp_path / "file")


def test_lzma_header_that_wants_gigabytes_is_refused(tmp_path: Path) -> None:
    alone = bytearray(COMPRESSORS["lzma"](b"abc"))
    alone[1:5] = struct.pack("<I", 0xF0000000)
    alone[1:3] = b"\x00\x00"
    (tmp_path / "file").write_bytes(alone)
    with pytest.raises(FormatError, match="does not decode"):
        open_bytes(tmp_path / "file")


def test_full_temporary_disk_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(os.urandom(1 << 20)))
    with open("/dev/full", "wb") as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: contextlib.nullcontext(full))
        with pytest.raises(FormatError, match="No space left"):
            open_bytes(tmp_path / "file")
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


NOT_A_FILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is a folder, not a file"),
    "empty": (lambda path: path.touch(), "is empty"),
    "pipe": (os.mkfifo, "not a regular file"),
    "dangling link": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "empty gzip": (lambda path: path.write_bytes(gzip.compress(b"")), "is empty"),
    "lz4": (lambda path: path.write_bytes(b"\x04\x22\x4d\x18" + b"x" * 50), "lz4"),
    "joblib 0.9": (lambda path: path.write_bytes(b"ZF0x10" + b"x" * 50), "older than 0.10"),
    "text": (lambda path: path.write_text("hello, this is no checkpoint"), "no file of plain data"),
    "one byte": (lambda path: path.write_bytes(b"\x80"), "truncated"),
    "zip signature": (lambda path: path.write_bytes(b"PK\x03\x04"), "zip archive"),
    "other zip": (lambda path: path.write_bytes(b"PK\x05\x06" + b"\x00" * 18), "no file of plain data"),
    "safetensors": (lambda path: path.write_bytes(struct.pack("<Q", 2) + b'{"'), "safetensors"),
    "image": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "no file of plain data"),
}


@pytest.mark.parametrize("case", NOT_A_FILE)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    make, message = NOT_A_FILE[case]
    make(tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=message) as error:
        convert_checkpoint(tmp_path / "file.pt", tmp_path / "out")
    assert str(error.value).startswith(str(tmp_path / "file.pt"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_reader_hands_out_what_is_there_and_no_more() -> None:
    reader = ByteReader(memoryview(bytearray(b"one\ntwo")))
    assert reader.take_line() == b"one"
    assert reader.take(2) == b"tw"
    with pytest.raises(FormatError, match="2 bytes are due at byte 6, 1 left"):
        reader.take(2)
    with pytest.raises(FormatError, match="no end of line"):
        reader.take_line()
    assert (reader.position, reader.remaining) == (6, 1)


@pytest.mark.parametrize("compress", [bytes, zlib.compress])
def test_what_is_cut_short_or_written_over_later_stays(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    content = b"0123456789" * 100_000
    file = tmp_path / "x.pt"
    file.write_bytes(compress(content))
    data = open_bytes(file)
    os.truncate(file, 0)
    assert bytes(data) == content


def test_what_is_cut_short_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pt").write_bytes(b"0" * 100_000)
    make = mmap.mmap

    def cut(*args: int) -> mmap.mmap:
        os.truncate(tmp_path / "x.pt", 10)
        return make(*args)

    monkeypatch.setattr(source.mmap, "mmap", cut)
    with pytest.raises(FormatError, match="was cut short while it was read"):
        open_bytes(tmp_path / "x.pt")
