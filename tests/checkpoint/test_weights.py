"""Weights of any network out of files, by what they hold."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ghn.checkpoint import CheckpointError
from ghn.checkpoint.weights import read_weights

STATE = {
    "a.weight": torch.arange(6.0).view(2, 3),
    "a.bias": torch.ones(2, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}


def same(found: dict[str, Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(
        found[name].dtype == value.dtype and torch.equal(found[name], value) for name, value in STATE.items()
    )


def test_every_format_holds_the_same(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    torch.save(STATE, tmp_path / "a.pt")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, tmp_path / "misnamed.pth")
    for file in tmp_path.iterdir():
        assert same(read_weights(file)), file


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "network"])
def test_a_training_programs_file(tmp_path: Path, key: str) -> None:
    wrapped = {f"module.{name}": value for name, value in STATE.items()}
    torch.save({key: wrapped, "optimizer": {"state": {}}, "epoch": 3}, tmp_path / "a.pt")
    assert same(read_weights(str(tmp_path / "a.pt")))


def test_a_module_called_model_is_no_wrapping(tmp_path: Path) -> None:
    torch.save(nn.ModuleDict({"model": nn.Linear(2, 2), "module": nn.Linear(1, 1)}).state_dict(), tmp_path / "a.pt")
    assert set(read_weights(tmp_path / "a.pt")) == {"model.weight", "model.bias", "module.weight", "module.bias"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nn.Linear(2, 2), "refers to torch.nn.modules.linear.Linear, which plain tensors do not need"),
        ([torch.ones(2)], "holds a value of type list, not a dictionary of tensors"),
        ({}, "holds no tensors"),
        ({"a": 1}, r"holds int under a, not a tensor; save model.state_dict\(\)"),
        ({"state_dict": {"a": None}}, "holds NoneType under a"),
    ],
)
def test_what_is_no_dictionary_of_tensors(tmp_path: Path, value: object, message: str) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=f"a.pt: {message}"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "old.pth"])
def test_damaged_files(tmp_path: Path, name: str) -> None:
    state = {"a": torch.arange(1000.0)}
    if name == "a.safetensors":
        save_file(state, tmp_path / name)
    else:
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=name == "a.pt")
    whole = (tmp_path / name).read_bytes()
    for length in (0, 1, 9, 12, 40, len(whole) // 2, len(whole) - 1):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=name) as caught:
            read_weights(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.pt: there is no such file"):
        read_weights(tmp_path / "nothing.pt")
    with pytest.raises(CheckpointError, match="is a folder, not a file"):
        read_weights(tmp_path)
    (tmp_path / "a.pt").write_text("hello\n")
    with pytest.raises(CheckpointError, match=r"a\.pt: .*no file of"):
        read_weights(tmp_path / "a.pt")


def headed(header: object) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": {"dtype": "F32", "shape": [2**63, 0], "data_offsets": [0, 0]}}, "does not describe a"),
        ({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 0]}}, "does not describe a"),
        ({"a": {"dtype": "F32", "shape": [0] * 65, "data_offsets": [0, 0]}}, "does not describe a"),
        ({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 1 << 40]}}, "does not describe a"),
        ({"a": {"dtype": "F32", "shape": [0], "data_offsets": [4, 0]}}, "does not describe a"),
        ({"a": {"dtype": "Q7", "shape": [0], "data_offsets": [0, 0]}}, "is no sound safetensors file"),
        ({"a": [0]}, "does not describe a"),
        ({f"{n:x}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(20_000)}, "20,000 tensors"),
        (
            {f"{n:x}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(90_000)},
            "header cannot have",
        ),
    ],
    ids=["2**63", "true", "65 axes", "beyond the file", "backwards", "type", "list", "20,000", "90,000"],
)
def test_headers_are_looked_at_before_the_library_allocates(tmp_path: Path, header: object, message: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(headed(header))
    with pytest.raises(CheckpointError, match=message) as caught:
        read_weights(tmp_path / "a.safetensors")
    assert len(str(caught.value).splitlines()) == 1
