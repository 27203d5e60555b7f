"""Names and paths lead where they should; what is downloaded is checked, and failures are one line."""

import logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

from ghn.checkpoint import CheckpointError, describe, hub
from ghn.checkpoint.card import RELEASES
from ghn.checkpoint.hub import Source, resolve
from ghn.checkpoint.images import IMAGES_FILE, write_images
from ghn.model import from_pretrained
from tests.checkpoint.files import FORMATS, random_state, same
from tests.checkpoint.test_images import some_images


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


def test_images_of_a_repository(online: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoEntryError(EntryNotFoundError, OSError):
        """As the hub answers where a repository lacks a file; its bases differ between versions."""

    def ask(repository: str, file: str, **options: Any) -> str:
        if file == IMAGES_FILE and (repository, file) not in online.files:
            raise NoEntryError("404 Client Error.")
        return online(repository, file, **options)

    monkeypatch.setattr(hub, "hf_hub_download", ask)
    assert from_pretrained("user/repo").images is None
    write_images(some_images(), tmp_path / IMAGES_FILE)
    online.files["user/repo", IMAGES_FILE] = (tmp_path / IMAGES_FILE).read_bytes()
    images = from_pretrained("user/repo").images
    assert images is not None
    assert torch.equal(images.images, some_images().images)
    online.files["user/repo", IMAGES_FILE] = b"12345678{}"
    with pytest.raises(CheckpointError, match="no sound safetensors file"):
        from_pretrained("user/repo")


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


@pytest.mark.parametrize(
    "name", ["user/repo/", "/user/repo", "user//repo", "-/repo name", "a b/c", "user/.repo", "../repo", "user/repo\n"]
)
def test_odd_names_are_no_repositories(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no such file or folder$"):
        resolve(name)


def test_a_suffix_makes_a_file_of_what_could_be_a_repository() -> None:
    assert resolve("user/repo.v2") == Source(kind="hub", name="user/repo.v2")
    with pytest.raises(CheckpointError, match=r"user/repo\.pt: there is no such file or folder"):
        resolve("user/repo.pt")


def test_hub_warnings_are_heard_again_afterwards(online: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("huggingface_hub")
    monkeypatch.setattr(logger, "level", logging.INFO)
    hub.download("user/repo", "config.json")
    assert logger.level == logging.INFO
    with pytest.raises(CheckpointError):
        hub.download("user/repo", "no such file")
    assert logger.level == logging.INFO
