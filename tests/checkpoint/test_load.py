"""Loading is exact, initialises nothing, and errors are one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ghn.checkpoint import CheckpointError, describe, hub, load, save_pretrained
from ghn.checkpoint.architecture import skeleton
from ghn.checkpoint.card import RELEASES
from ghn.checkpoint.save import write_checkpoint
from ghn.hypernet.config import GHNConfig
from ghn.model import GHN, from_pretrained
from tests.checkpoint.files import FORMATS, TINY, TINY_GHN2, TINY_MLP, random_state, same


@pytest.mark.parametrize("config", [TINY, TINY_GHN2, TINY_MLP], ids=lambda config: config.encoder)
def test_saved_hypernetwork_loads_equal(tmp_path: Path, config: GHNConfig) -> None:
    torch.manual_seed(0)
    hypernet = GHN(config)
    found = from_pretrained(save_pretrained(hypernet, tmp_path / "saved"))
    assert found.config == config
    assert same(found.state_dict(), hypernet.state_dict())
    assert not found.training
    assert all(parameter.requires_grad for parameter in found.parameters())
    assert not any(tensor.is_meta for tensor in [*found.parameters(), *found.buffers()])


def test_loading_draws_no_random_numbers(folder: Path) -> None:
    before = torch.random.get_rng_state()
    from_pretrained(folder)
    describe(folder)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_loaded_weights_are_those_of_the_file_not_copies(folder: Path) -> None:
    """Changing the loaded weights changes neither the file nor what is loaded next."""
    hypernet = from_pretrained(folder)
    with torch.no_grad():
        hypernet.ln.weight.zero_()
    assert same(from_pretrained(folder).state_dict(), random_state())


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("wanted", [torch.float32, torch.float16, None])
def test_precision_is_the_one_asked_for(tmp_path: Path, stored: torch.dtype, wanted: torch.dtype | None) -> None:
    state = random_state(dtype=stored)
    hypernet = skeleton(TINY, GHN)
    hypernet.load_state_dict(state, assign=True)
    hypernet = from_pretrained(save_pretrained(hypernet, tmp_path / "saved"), dtype=wanted)
    assert same(hypernet.state_dict(), {key: tensor.to(wanted or stored) for key, tensor in state.items()})


def test_device_is_the_one_asked_for(folder: Path) -> None:
    hypernet = from_pretrained(folder, device="meta")
    assert {tensor.device.type for tensor in [*hypernet.parameters(), *hypernet.buffers()]} == {"meta"}


BROKEN_CONFIGS = {
    "not JSON": ("{", "cannot be read as JSON"),
    "list": ("[]", "is no JSON object"),
    "deep": ("[" * 100_000, "cannot be read as JSON"),
    "unknown field": ('{"hidden": 4, "color": 3}', "the field color"),
    "text for a number": ('{"hidden": "4"}', "hidden is 4, not of type int"),
    "number for a flag": ('{"centrality": 1}', "centrality is 1, not of type bool"),
    "bad value": ('{"hidden": 5}', "hidden must be a positive multiple of 4"),
    "bad encoder": ('{"encoder": "x"}', "encoder must be"),
    "other architecture": (json.dumps(TINY.to_dict() | {"layers": 3}), "lacks gnn.2"),
    "other encoder": (json.dumps(TINY_MLP.to_dict()), "gnn.fc"),
}


@pytest.mark.parametrize("case", BROKEN_CONFIGS)
def test_broken_config_is_refused(folder: Path, case: str) -> None:
    text, message = BROKEN_CONFIGS[case]
    (folder / "config.json").write_text(text)
    for read in (from_pretrained, describe):
        with pytest.raises(CheckpointError, match=message) as error:
            read(folder)
        assert "\n" not in str(error.value)
        assert str(folder) in str(error.value)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_incomplete_folder_is_refused(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match=f"{missing}: there is no such file"):
        from_pretrained(folder)


def test_describe_says_what_it_is_without_loading(folder: Path, tmp_path: Path) -> None:
    total = sum(tensor.numel() for tensor in random_state().values())
    (tmp_path / "published.pt").write_bytes(FORMATS["joblib"](random_state()))
    for name, kind in ((folder, "folder"), (folder / "model.safetensors", "file"), (tmp_path / "published.pt", "file")):
        found = describe(name)
        assert (found["kind"], found["name"]) == (kind, str(name))
        assert found["config"] == TINY.to_dict()
        assert found["total"] == sum(found["parameters"].values()) == total
        assert found["dtype"] == "float32"
        assert found["bytes"] == found["path"].stat().st_size
    json.dumps(found | {"path": str(found["path"])})


@pytest.mark.parametrize(("name", "total"), [("ghn3tm8", 6_906_632), ("ghn3xlm16", 654_365_184), ("ghn2", 2_319_720)])
def test_describe_knows_releases_without_the_network(name: str, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: pytest.fail("asked the network"))
    found = describe(name)
    assert found["preset"] == RELEASES[name].preset
    assert found["total"] == total
    assert found["path"] is None
    assert "DeepNets-1M" in found["training"]["architectures"]


def test_files_that_change_while_they_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer puts other weights in their place between the look at the header and the reading."""
    read, calls = load.load_file, []

    def changed(path: Path) -> dict[str, torch.Tensor]:
        calls.append(path)
        if len(calls) == 1:
            raise RuntimeError("file is smaller than the required mapping size")
        return read(path) if len(calls) > 2 else {"other": torch.ones(1)}

    monkeypatch.setattr(load, "load_file", changed)
    assert from_pretrained(folder).config
    assert len(calls) == 3
    monkeypatch.setattr(load, "load_file", lambda path: {})
    with pytest.raises(CheckpointError, match="was changed while it was read; load it again"):
        from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(folder: Path, name: str, make: Callable[[Path], object]) -> None:
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(CheckpointError, match=rf"{name}: .*(is a folder|not a regular file)"):
        from_pretrained(folder)


def test_sizes_have_limits(folder: Path) -> None:
    for field, value in (("layers", 257), ("hidden", 8192), ("spatial", 65), ("num_classes", 10**7), ("heads", 2048)):
        (folder / "config.json").write_text(json.dumps({field: value}))
        with pytest.raises(CheckpointError, match=rf"{field} must be at most [\d,]+, not {value}"):
            from_pretrained(folder)


def _save_any(state: dict[str, torch.Tensor], file: Path) -> None:
    """Also numbers that only newer versions of safetensors write."""
    try:
        save_file(state, file)
    except KeyError as error:
        pytest.skip(f"this version of safetensors does not write {error}")


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.float8_e4m3fn])
def test_numbers_of_another_kind_are_not_cast_in_silence(folder: Path, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in from_pretrained(folder).state_dict().items()}
    _save_any(state, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="not floating-point ones"):
        from_pretrained(folder)


def test_text_that_names_nothing_is_one_short_line() -> None:
    for name in (
        "x" * 5000,
        "a\0b",
        "",
        "a\nb/c.pt",
        "\x1b[2Ja/c.pt",
        "\udcff/x.pt",
        Path("n" * 5000),
        Path("a\0b/c.pt"),
    ):
        with pytest.raises(ValueError, match=r"\w") as caught:
            from_pretrained(name)
        assert len(str(caught.value)) < 1000
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_other_numbers_are_not_cast(tmp_path: Path, dtype: torch.dtype) -> None:
    state = random_state()
    folder = write_checkpoint(tmp_path / "saved", state, TINY)
    key = "ln.weight"
    _save_any({**state, key: state[key].to(dtype)}, folder / "model.safetensors")
    for read in (from_pretrained, describe):
        with pytest.raises(CheckpointError, match=r"numbers under ln\.weight, not floating-point ones") as error:
            read(folder)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_nothing_is_cast_to_other_numbers(folder: Path, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"dtype must be float32, .* or None, not {dtype}"):
        from_pretrained(folder, dtype=dtype)
