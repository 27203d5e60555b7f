"""A saved hypernetwork is three files, whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ghn.checkpoint import CheckpointError, convert_checkpoint, save_pretrained
from ghn.checkpoint.save import write_checkpoint
from ghn.model import GHN, from_pretrained
from tests.checkpoint.files import TINY, random_state, same


def test_mixin_saves_the_same_three_files(tmp_path: Path) -> None:
    """`hypernet.save_pretrained`, also what `push_to_hub` uploads."""
    hypernet = GHN(TINY)
    hypernet.save_pretrained(tmp_path / "mixin")
    save_pretrained(hypernet, tmp_path / "own")
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("mixin", "own")]
    assert files[0] == files[1]
    assert set(files[0]) == {"model.safetensors", "config.json", "README.md"}
    assert same(GHN.from_pretrained(tmp_path / "mixin").state_dict(), hypernet.state_dict())


def test_output_that_is_a_file_is_refused(tmp_path: Path, published: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for folder in (tmp_path / "out", tmp_path / "out" / "below" / "it"):
        with pytest.raises(CheckpointError, match=r"out.*(is a file|cannot be written)") as error:
            convert_checkpoint(published, folder)
        assert "\n" not in str(error.value)
    assert (tmp_path / "out").read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_output_is_refused(tmp_path: Path, published: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    for folder in (tmp_path / "out", tmp_path / "out" / "new"):
        with pytest.raises(CheckpointError, match="cannot be written"):
            convert_checkpoint(published, folder)


def test_existing_folder_keeps_other_files(tmp_path: Path, published: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "config.json").write_text("old")
    convert_checkpoint(published, folder)
    assert sorted(file.name for file in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "notes.txt",
    ]
    assert same(from_pretrained(folder).state_dict(), random_state())


def test_missing_parents_are_made(tmp_path: Path, published: Path) -> None:
    folder = convert_checkpoint(published, tmp_path / "a" / "b" / "c")
    assert same(from_pretrained(folder).state_dict(), random_state())


FULL_DISK = """
import resource, sys
from ghn.checkpoint import CheckpointError, convert_checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
for folder in sys.argv[3:]:
    try:
        convert_checkpoint(sys.argv[2], folder)
    except CheckpointError as error:
        print(error)
"""


def test_full_disk_leaves_nothing_half_written(tmp_path: Path, published: Path) -> None:
    new, old = tmp_path / "out" / "new", convert_checkpoint(published, tmp_path / "old")
    before = {file.name: file.read_bytes() for file in old.iterdir()}
    limit = published.stat().st_size // 4
    command = [sys.executable, "-c", FULL_DISK, str(limit), str(published), str(new), str(old)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.count("cannot be written") == done.stdout.count("\n") == 2, done.stderr
    assert {file.name: file.read_bytes() for file in old.iterdir()} == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "old"]


def test_interrupted_saving_leaves_nothing(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("ghn.checkpoint.save.model_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(published, tmp_path / "a" / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_shared_and_strided_tensors_are_saved_as_they_look(tmp_path: Path) -> None:
    """safetensors itself refuses memory that is shared and writes strided tensors wrongly or not at all."""
    state = random_state()
    weight = state["gnn.0.ff.net.0.weight"]
    strided = state | {
        "gnn.0.ff.net.0.weight": weight.t().contiguous().t(),
        "ln.weight": state["ln.bias"],
        "gnn.0.ln1.weight": torch.ones(1).expand(4),
    }
    folder = write_checkpoint(tmp_path / "saved", strided, TINY)
    assert same(load_file(folder / "model.safetensors"), {key: tensor.contiguous() for key, tensor in strided.items()})
    assert strided["ln.weight"] is state["ln.bias"]


def test_colleagues_may_read_the_weights(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "saved", random_state(), TINY)
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_several_precisions_are_named(tmp_path: Path) -> None:
    state = random_state() | {"ln.weight": torch.ones(4, dtype=torch.float16)}
    folder = write_checkpoint(tmp_path / "saved", state, TINY)
    assert "float16, float32" in (folder / "README.md").read_text()


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_weights_that_could_not_be_loaded_are_not_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    hypernet = GHN(TINY)
    hypernet.ln.weight = torch.nn.Parameter(hypernet.ln.weight.detach().to(dtype), requires_grad=False)
    with pytest.raises(CheckpointError, match=f"saved: ln.weight holds {dtype} numbers, not floating-point ones"):
        save_pretrained(hypernet, tmp_path / "saved")
    assert not [*tmp_path.iterdir()]
