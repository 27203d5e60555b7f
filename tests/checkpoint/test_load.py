"""Names and paths lead where they should; loading is exact, initialises nothing, and errors are one line."""

import json
import logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from ghn.checkpoint import CheckpointError, describe, hub, save_pretrained
from ghn.checkpoint.architecture import expected_shapes, skeleton
from ghn.checkpoint.card import RELEASES
from ghn.hypernet.config import PRESETS, GHNConfig
from ghn.model import GHN, from_pretrained
from tests.checkpoint.files import FORMATS, TINY, TINY_GHN2, TINY_MLP, random_state, same


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved hypernetwork."""
    hypernet = GHN(TINY)
    hypernet.load_state_dict(random_state())
    return save_pretrained(hypernet, tmp_path / "saved")


@pytest.fixture
def packaged(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as if it came with the package under the name ghn3-t-test."""
    home = tmp_path / "package"
    shutil.copytree(folder, home / "pretrained" / "ghn3-t-test")
    (home / "pretrained" / "unfinished").mkdir()
    monkeypatch.setattr(hub.resources, "files", lambda _: home)
    return home / "pretrained" / "ghn3-t-test"


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
    for (name, buffer), (_, wanted) in zip(found.named_buffers(), hypernet.named_buffers(), strict=True):
        assert torch.equal(buffer, wanted), name


def test_mixin_saves_the_same_three_files(tmp_path: Path) -> None:
    """`hypernet.save_pretrained`, also what `push_to_hub` uploads."""
    hypernet = GHN(TINY)
    hypernet.save_pretrained(tmp_path / "mixin")
    save_pretrained(hypernet, tmp_path / "own")
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("mixin", "own")]
    assert files[0] == files[1]
    assert set(files[0]) == {"model.safetensors", "config.json", "README.md"}
    assert same(GHN.from_pretrained(tmp_path / "mixin").state_dict(), hypernet.state_dict())


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


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("num_classes", [10, 1000])
def test_skeleton_has_the_layout_without_the_numbers(name: str, num_classes: int) -> None:
    config = GHNConfig.preset(name, num_classes=num_classes)
    module = skeleton(config, GHN)
    assert all(parameter.is_meta for parameter in module.parameters())
    if name in ("ghn3-t", "ghn2", "mlp"):
        real = GHN(config).state_dict()
        assert expected_shapes(config) == {key: tuple(tensor.shape) for key, tensor in real.items()}


def test_published_keys_are_ours(reference: Path) -> None:
    import gzip

    for name in ("ghn3-t", "ghn2", "ghn3-xl"):
        with gzip.open(reference / "golden" / f"torchvision_{name}.json.gz") as file:
            shapes = json.load(file)["state_dict_shapes"]
        assert expected_shapes(GHNConfig.preset(name)) == {key: tuple(shape) for key, shape in shapes.items()}


def test_bundled_name(packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ghn3-t-test").mkdir()  # a folder that happens to be called so
    assert list(hub.bundled()) == ["ghn3-t-test"]
    assert same(from_pretrained("ghn3-t-test").state_dict(), random_state())
    assert describe("ghn3-t-test")["kind"] == "bundled"
    assert "ghn3-t-test" in hub.available()


def test_package_without_hypernetworks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.resources, "files", lambda _: tmp_path)
    assert hub.bundled() == {}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ghn3tm9", "ghn3tm8"),
        ("ghn3-t-tset", "ghn3-t-test"),
        ("ghn3xl", "ghn3xlm16"),
        ("ghn4", "ghn2"),
        ("resnet", None),
    ],
)
def test_unknown_name_lists_what_there_is(packaged: Path, name: str, nearest: str | None) -> None:
    with pytest.raises(ValueError, match="unknown hypernetwork") as error:
        from_pretrained(name)
    message = str(error.value)
    assert "\n" not in message
    assert all(known in message for known in (*RELEASES, "ghn3-t-test", "user/repo"))
    assert (f"did you mean {nearest}" in message or f"or {nearest}?" in message) if nearest else "mean" not in message


@pytest.mark.parametrize("name", ["./no/such", "/no/such/folder", "no.pt", "runs/no.safetensors", "a/b/c", Path("no")])
def test_missing_path(name: str | Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no such file or folder$"):
        from_pretrained(name)


def test_existing_paths_win_over_the_hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "user" / "repo")
    (tmp_path / "ghn2.pt").write_bytes(FORMATS["joblib"](random_state()))
    for name in ("saved", "user/repo", "user/repo/model.safetensors", "ghn2.pt", Path("saved"), str(folder)):
        assert same(from_pretrained(name).state_dict(), random_state())


class Hub:
    """Stands in for `hf_hub_download`: files by (repository, name), and a log of what was asked for."""

    def __init__(self, home: Path, files: dict[tuple[str, str], bytes]) -> None:
        self.home, self.files = home, files
        self.asked: list[tuple[str, bool]] = []
        self.cached: set[str] = set()

    def __call__(self, repository: str, file: str, *, local_files_only: bool, revision: str | None, **_: Any) -> str:
        self.asked.append((file, local_files_only))
        logging.getLogger("huggingface_hub").warning("noise")
        if local_files_only and file not in self.cached:
            raise LocalEntryNotFoundError("not in the cache\nsecond line")
        if (repository, file) not in self.files:
            raise LocalEntryNotFoundError("no connection")
        path = self.home / repository / (revision or "0123456789abcdef") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[repository, file])
        self.cached.add(file)
        return str(path)


@pytest.fixture
def online(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with a released file and a repository of ours."""
    files = {("user/repo", file.name): file.read_bytes() for file in folder.iterdir()}
    files["SamsungSAILMontreal/ghn3", "ghn3tm8.pt"] = FORMATS["joblib"](random_state())
    fake = Hub(tmp_path / "hub", files)
    monkeypatch.setattr(hub, "hf_hub_download", fake)
    monkeypatch.setattr(hub, "_reachable", lambda: True)
    return fake


@pytest.mark.parametrize("name", ["ghn3tm8", "ghn3tm8.pt"])
def test_released_name_is_downloaded_and_converted_once(
    online: Hub, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        assert same(from_pretrained(name, cache_dir=cache).state_dict(), random_state())
    assert online.asked == [("ghn3tm8.pt", True), ("ghn3tm8.pt", False), ("ghn3tm8.pt", True)]
    (converted,) = (cache / "ghn-converted").iterdir()
    assert converted.name == "ghn3tm8-0123456789ab"
    assert not caplog.records
    # The second time, the converted folder was read, not the pickle.
    online.files["SamsungSAILMontreal/ghn3", "ghn3tm8.pt"] = b"other"
    assert same(from_pretrained(name, cache_dir=cache).state_dict(), random_state())


def test_half_converted_folder_is_made_again(online: Hub, tmp_path: Path) -> None:
    from_pretrained("ghn3tm8", cache_dir=tmp_path)
    (tmp_path / "ghn-converted" / "ghn3tm8-0123456789ab" / "model.safetensors").unlink()
    assert same(from_pretrained("ghn3tm8", cache_dir=tmp_path).state_dict(), random_state())


def test_repository_and_revision(online: Hub, tmp_path: Path) -> None:
    assert same(from_pretrained("user/repo", revision="v1.0").state_dict(), random_state())
    assert (tmp_path / "hub" / "user" / "repo" / "v1.0" / "model.safetensors").exists()
    online.asked.clear()
    assert describe("user/repo")["total"] == sum(tensor.numel() for tensor in random_state().values())
    assert online.asked == [("config.json", False)]


def test_harmful_download_is_refused(online: Hub, tmp_path: Path) -> None:
    online.files["SamsungSAILMontreal/ghn3", "ghn3tm8.pt"] = b"cos\nsystem\n(S'true'\ntR."
    with pytest.raises(CheckpointError, match=r"ghn3tm8\.pt: refers to os\.system"):
        from_pretrained("ghn3tm8", cache_dir=tmp_path)
    assert not (tmp_path / "ghn-converted").exists()


def no_repository(*_: Any, **__: Any) -> str:
    response: Any = SimpleNamespace(headers={}, request=None)
    raise RepositoryNotFoundError("404 Client Error.\n\nRepository Not Found", response=response)


def broken_line(*_: Any, **__: Any) -> str:
    raise ConnectionResetError("connection reset\nby peer")


def unreachable(*_: Any, **__: Any) -> str:
    raise LocalEntryNotFoundError("no connection")


FAILURES: dict[str, tuple[Callable[..., str], str]] = {
    "no repository": (no_repository, "RepositoryNotFoundError: 404"),
    "broken line": (broken_line, "connection reset by peer"),
    "unreachable": (unreachable, "cannot be reached .* check the network, or give a local file or folder"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", ["ghn2", "user/repo"])
def test_failed_download_is_one_line(
    name: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: Hub
) -> None:
    monkeypatch.setattr(hub, "hf_hub_download", FAILURES[failure][0])
    with pytest.raises(CheckpointError, match=FAILURES[failure][1]) as error:
        from_pretrained(name, cache_dir=tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_without_network_the_cache_is_asked_at_once(online: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_names(*_: Any) -> None:
        raise socket.gaierror

    monkeypatch.undo()
    monkeypatch.setattr(hub, "hf_hub_download", online)
    monkeypatch.setattr(hub.urllib.request, "getproxies", dict)
    monkeypatch.setattr(hub.socket, "getaddrinfo", no_names)
    with pytest.raises(CheckpointError, match="cannot be reached"):
        from_pretrained("user/repo")
    assert online.asked == [("config.json", True)]


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
    monkeypatch.setattr(hub, "hf_hub_download", unreachable)
    found = describe(name)
    assert found["preset"] == RELEASES[name].preset
    assert found["total"] == total
    assert found["path"] is None
    assert "DeepNets-1M" in found["training"]["architectures"]
