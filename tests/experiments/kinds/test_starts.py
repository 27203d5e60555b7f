"""Chains with folders of other cells in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghn.experiments.kinds.starts import files_of_start, with_folders
from ghn.initializers import create


def test_names_in_braces_become_folders() -> None:
    needs = {"hypernet": Path("/a/b"), "other": Path("c")}
    assert with_folders("ghn:{hypernet}+noise:1e-5", needs) == "ghn:/a/b+noise:1e-5"
    assert with_folders("default", needs) == "default"
    with pytest.raises(ValueError, match=r"names \{lost\}, and the cell needs hypernet, other"):
        with_folders("ghn:{lost}", needs)


def test_files_that_a_chain_reads_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    assert files_of_start("default") == {}
    assert files_of_start("ghn:{hypernet}") == {}
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"some")
    init = f"checkpoint:{file}"
    assert files_of_start(init) == {"start": create(init).digest()}
