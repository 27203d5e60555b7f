"""Released and training files become our format, bit for bit, or one line of error and nothing on disk."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from ghn.checkpoint import CheckpointError, convert_checkpoint
from ghn.checkpoint.convert import read_hypernetwork
from ghn.hypernet.config import GHNConfig
from ghn.model import from_pretrained
from tests.checkpoint.files import FORMATS, TINY, TINY_GHN2, TINY_MLP, dumped, golden, random_state, same, training_file

SMALL = {"graphormer": TINY, "gated_gnn": TINY_GHN2, "mlp": TINY_MLP}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("encoder", SMALL)
def test_round_trip_is_exact(tmp_path: Path, format: str, encoder: str) -> None:
    config = SMALL[encoder]
    state = random_state(config)
    (tmp_path / "published.pt").write_bytes(FORMATS[format](state))
    folder = convert_checkpoint(tmp_path / "published.pt", tmp_path / "converted")
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert same(load_file(folder / "model.safetensors"), state)
    assert json.loads((folder / "config.json").read_text()) == config.to_dict()
    for source in (folder, folder / "model.safetensors", tmp_path / "published.pt"):
        hypernet = from_pretrained(source)
        assert hypernet.config == config
        assert same(hypernet.state_dict(), state)


@pytest.mark.parametrize("name", ["ghn3-t", "ghn2"])
@pytest.mark.parametrize("format", ["joblib", "joblib-zlib", "torch-training", "torch-training-old"])
def test_reference_weights_round_trip(reference: Path, tmp_path: Path, name: str, format: str) -> None:
    _, state = golden(reference, name)
    (tmp_path / "published.pt").write_bytes(FORMATS[format](state))
    hypernet = from_pretrained(convert_checkpoint(tmp_path / "published.pt", tmp_path / "converted"))
    assert hypernet.config == GHNConfig.preset(name)
    assert same(hypernet.state_dict(), state)


@pytest.mark.parametrize("name", ["ghn3-t", "ghn2"])
def test_stored_options_of_the_reference_agree_with_its_shapes(reference: Path, tmp_path: Path, name: str) -> None:
    options, state = golden(reference, name)
    file = tmp_path / "training.pt"
    file.write_bytes(dumped(torch.save, training_file(state, options)))
    assert read_hypernetwork(file)[0] == GHNConfig.preset(name)
    file.write_bytes(dumped(torch.save, training_file(state, options | {"num_classes": 10})))
    with pytest.raises(CheckpointError, match="num_classes=10 but has the shapes of num_classes=1000"):
        read_hypernetwork(file)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("format", ["joblib", "torch", "torch-old"])
def test_precision_stays(tmp_path: Path, dtype: torch.dtype, format: str) -> None:
    state = random_state(dtype=dtype)
    (tmp_path / "published.pt").write_bytes(FORMATS[format](state))
    folder = convert_checkpoint(tmp_path / "published.pt", tmp_path / "converted")
    assert same(load_file(folder / "model.safetensors"), state)
    assert same(from_pretrained(folder, dtype=None).state_dict(), state)
    assert str(dtype).removeprefix("torch.") in (folder / "README.md").read_text()


def test_pointwise_convolutions_become_linear(tmp_path: Path) -> None:
    state = random_state(TINY_GHN2)
    released = {
        key: t[..., None, None] if key.startswith("decoder.conv") and t.ndim == 2 else t for key, t in state.items()
    }
    assert any(tensor.ndim == 4 for tensor in released.values())
    (tmp_path / "ghn2.pt").write_bytes(FORMATS["joblib"](released))
    config, found = read_hypernetwork(tmp_path / "ghn2.pt")
    assert config == TINY_GHN2
    assert same(found, state)


def test_card_is_filled_in_and_names_what_is_known(reference: Path, tmp_path: Path) -> None:
    _, state = golden(reference, "ghn3-t")
    (tmp_path / "ghn3tm8.pt").write_bytes(FORMATS["joblib"](state))
    folder = convert_checkpoint(tmp_path / "ghn3tm8.pt", tmp_path / "converted")
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "ghn"
    for text in (
        "6,906,632",
        "ghn3tm8",
        "meta-batch m = 8",
        "GHN-3",
        "layers | 3",
        "knyazev2021",
        "knyazev2023",
        "glob_avg",
    ):
        assert text in card.content, text
    assert "{" not in card.text.replace(card.text[card.text.index("```bibtex") :], "")


def broken_states() -> dict[str, tuple[dict[Any, Any], str]]:
    """States that are no sound hypernetwork, with what the message must say."""
    state = random_state()
    without = {key: tensor for key, tensor in state.items() if key != "ln.bias"}
    nan, infinite = state["ln.weight"].clone(), state["ln.weight"].clone()
    nan[1], infinite[2] = torch.nan, -torch.inf
    return {
        "another architecture": ({"conv1.weight": torch.ones(64, 3, 7, 7), "fc.bias": torch.ones(3)}, "conv1.weight"),
        "missing key": (without, "lacks ln.bias"),
        "surplus key": (state | {"gnn.0.extra": torch.ones(2)}, "also has gnn.0.extra"),
        "wrong shape": (state | {"ln.weight": torch.ones(5)}, r"ln.weight: \(5,\), not \(4,\)"),
        "wrong axes": (state | {"embed.weight": torch.ones(15)}, "embed.weight has shape"),
        "missing anchor": ({k: v for k, v in state.items() if k != "embed.weight"}, "no embed.weight"),
        "empty tensor": (
            state | {"decoder.fc.0.weight": torch.ones(0, 4)},
            "without elements under decoder.fc.0.weight",
        ),
        "NaN": (state | {"ln.weight": nan}, "NaN or infinity in ln.weight"),
        "infinity": (state | {"ln.weight": infinite}, "NaN or infinity in ln.weight"),
        "twice": (state | {"gnn.0.input_dist_embed.weight": state["input_dist_embed.weight"] + 1}, "twice"),
        "empty": ({}, "holds no tensors"),
        "no tensors": ({"lr": 0.1}, "holds float under lr"),
        "text": ({"embed.weight": "abc"}, "holds str under embed.weight"),
        "integers": (state | {"ln.weight": torch.ones(4, dtype=torch.int64)}, "torch.int64 numbers under ln.weight"),
        "number as key": ({3: torch.ones(2)}, "under 3"),
        "nested": ({"model": {"embed.weight": torch.ones(2)}}, "holds dict under model"),
        "state_dict of text": ({"state_dict": "abc"}, "state_dict of type str"),
        "config of text": ({"state_dict": state, "config": "abc"}, "config of type str"),
        "layernorm off": ({"state_dict": state, "config": {"layernorm": False}}, "layernorm=False"),
        "hid as text": ({"state_dict": state, "config": {"hid": "4"}}, "option hid as 4, not int"),
        "other hid": ({"state_dict": state, "config": {"hid": 8}}, "hid=8 but has the shapes of hid=4"),
        "other max_shape": ({"state_dict": state, "config": {"max_shape": (2, 2, 16, 16)}}, "max_shape"),
    }


@pytest.mark.parametrize("case", broken_states())
@pytest.mark.parametrize("write", [torch.save, None], ids=["torch", "joblib"])
def test_no_hypernetwork_is_refused_in_one_line(tmp_path: Path, case: str, write: Any) -> None:
    value, message = broken_states()[case]
    file = tmp_path / "wrong.pt"
    file.write_bytes(dumped(write, value) if write else FORMATS["joblib"](value))
    with pytest.raises(CheckpointError, match=message) as error:
        convert_checkpoint(file, tmp_path / "converted")
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.pt"]


@pytest.mark.slow
def test_memory_stays_near_the_size_of_the_file(tmp_path: Path) -> None:
    """A file of 90 MB is converted within 2.5 times that: mapped, never copied as a whole."""
    config = GHNConfig(hidden=64, layers=1, heads=8, num_classes=10, max_channels=192, spatial=11)
    (tmp_path / "published.pt").write_bytes(FORMATS["joblib"](random_state(config)))
    size = (tmp_path / "published.pt").stat().st_size
    assert size > 8e7
    code = (
        "import resource, sys; from ghn.checkpoint import convert_checkpoint; peak = lambda: "
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024; before = peak(); "
        "convert_checkpoint(sys.argv[1], sys.argv[2]); print(peak() - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "published.pt"), str(tmp_path / "out")]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    assert grown < 2.5 * size
