"""Bytes of one file in a tar file."""

from __future__ import annotations

import io
import tarfile
import uuid
from pathlib import Path

import pytest

from ghn.common.untrusted.errors import FormatError
from ghn.data.shards.member import Member


def shard(file: Path) -> None:
    with tarfile.open(file, "w") as archive:
        for name, content in (("a.txt", b"first"), ("b.txt", b"second one")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_what_is_read_is_what_tar_reads(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar")
    with tarfile.open(tmp_path / "0.tar") as archive:
        for info in archive:
            member = Member(str(tmp_path / "0.tar"), info.name, info.offset_data, info.size)
            opened = archive.extractfile(info)
            assert opened is not None
            assert member.read() == opened.read()
            assert str(member) == f"{tmp_path}/0.tar/{info.name}"


def test_the_same_at_an_address(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    shard(tmp_path / "0.tar")
    address = f"memory://{uuid.uuid4().hex}/0.tar"
    with fsspec.open(address, "wb") as file:
        file.write((tmp_path / "0.tar").read_bytes())
    with tarfile.open(tmp_path / "0.tar") as archive:
        info = archive.getmember("b.txt")
    assert Member(address, "b.txt", info.offset_data, info.size).read() == b"second one"


def test_a_shard_that_is_gone_or_shorter_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        Member(str(tmp_path / "none.tar"), "a", 0, 1).read()
    (tmp_path / "short.tar").write_bytes(b"12")
    with pytest.raises(FormatError, match="the shard ends before it"):
        Member(str(tmp_path / "short.tar"), "a", 0, 3).read()
