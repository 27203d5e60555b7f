"""What released files and training files hold, as it stands there."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ghn.checkpoint import CheckpointError, published
from ghn.checkpoint.published import read_published
from ghn.model import from_pretrained
from tests.checkpoint.files import FORMATS, dumped, random_state, same, training_file, training_state


@pytest.mark.parametrize("format", FORMATS)
def test_every_way_of_writing(tmp_path: Path, format: str) -> None:
    state = random_state()
    file = tmp_path / "published.pt"
    file.write_bytes(FORMATS[format](state))
    found = read_published(file)
    assert same(found.state, training_state(state) if "training" in format else state)
    assert list(found.state) == list(training_state(state) if "training" in format else state)
    assert found.config is None
    if format.startswith("torch"):
        assert found.kind == ("torch.save (old layout)" if "old" in format else "torch.save (zip)")
    else:
        assert found.kind == "joblib pickle"


def test_options_are_those_beside_the_state(tmp_path: Path) -> None:
    file = tmp_path / "training.pt"
    options = {"hid": 4, "max_shape": (2, 2, 2, 2), "is_ghn2": False, "name": None}
    file.write_bytes(dumped(torch.save, training_file(random_state(), options)))
    assert read_published(str(file)).config == options


def test_tensor_referred_to_often_is_refused(tmp_path: Path) -> None:
    """A few references to one large tensor must not become a large file."""
    tensor = torch.ones(1000)
    (tmp_path / "often.pt").write_bytes(pickle.dumps({f"key{index}": tensor for index in range(100)}))
    with pytest.raises(CheckpointError, match=r"declares tensors of 400,000 bytes but holds [\d,]+ bytes"):
        from_pretrained(tmp_path / "often.pt")


REFUSED: dict[str, tuple[Any, str]] = {
    "list": ([torch.ones(2)], "holds a value of type list, not a dictionary of tensors"),
    "nothing": (None, "holds a value of type NoneType"),
    "one tensor": (torch.ones(2), "holds a value of type PlainTensor"),
    "empty": ({}, "holds no tensors"),
    "empty state_dict": ({"state_dict": OrderedDict()}, "holds no tensors"),
    "state_dict in a list": ({"state_dict": [1]}, "holds a state_dict of type list"),
    "options in a list": ({"state_dict": {"a": torch.ones(2)}, "config": [1]}, "holds a config of type list"),
    "tensors below": ({"a": {"b": torch.ones(2)}}, "holds dict under a, not a tensor"),
    "integers": ({"a": torch.ones(2), "b": torch.ones(2, dtype=torch.uint8)}, r"torch\.uint8 numbers under b"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("layout", ["zip", "old", "pickle"])
def test_other_content_is_refused(tmp_path: Path, case: str, layout: str) -> None:
    value, message = REFUSED[case]
    file = tmp_path / "wrong.pt"
    if layout == "pickle":
        file.write_bytes(pickle.dumps(value))
    else:
        file.write_bytes(dumped(torch.save, value, _use_new_zipfile_serialization=layout == "zip"))
    with pytest.raises(CheckpointError, match=message) as error:
        read_published(file)
    assert str(error.value).startswith(f"{file}: ")


def test_more_entries_than_any_hypernetwork_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "MAX_KEYS", 3)
    file = tmp_path / "many.pt"
    for count in (3, 4):
        file.write_bytes(dumped(torch.save, {str(index): torch.ones(1) for index in range(count)}))
        if count == 3:
            assert len(read_published(file).state) == 3
    with pytest.raises(CheckpointError, match="holds 4 entries; no hypernetwork has more than 3 parameters"):
        read_published(file)


def test_our_own_format_is_said_to_be_it(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="is a safetensors file already"):
        read_published(tmp_path / "model.pt")


def test_a_pickle_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "more.pt").write_bytes(pickle.dumps({"a": torch.ones(2)}) + b"xyz")
    with pytest.raises(CheckpointError, match="is damaged: 3 bytes follow its pickle"):
        read_published(tmp_path / "more.pt")
