"""Where a name leads: a hypernetwork in the package, a released one, a hub repository, a folder or a file."""

from __future__ import annotations

import difflib
import logging
import os
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
)

from ghn.checkpoint.card import RELEASE_REPOSITORY, RELEASES
from ghn.checkpoint.convert import convert_checkpoint
from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.save import CONFIG_FILE, WEIGHTS_FILE
from ghn.common.errors import check_path
from ghn.common.text import shown
from ghn.common.untrusted.opening import exists
from ghn.training.logbook import FILE as LOG
from ghn.training.state import CURRENT

FILE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".gz", ".z", ".bz2", ".xz", ".lzma", ".safetensors")
# The bases of this error include that of the HTTP library's errors; each version of huggingface_hub takes another one.
_HTTP_ERRORS = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
_FETCH_ERRORS: tuple[type[Exception], ...] = (HFValidationError, OSError, *_HTTP_ERRORS)
TRAINED = "hypernet"
"""Where a training puts its hypernetwork, in its own folder."""
Kind = Literal["bundled", "released", "hub", "folder", "file"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A hypernetwork that was named, not yet fetched.

    Attributes:
        kind: What the name is.
        name: The name of a bundled or released hypernetwork, the hub's "user/repo", or the path as given.
        path: Local folder or file; None if it must be fetched.
    """

    kind: Kind
    name: str
    path: Path | None = None


def bundled() -> dict[str, Path]:
    """Folders of the hypernetworks that come with the package, by name."""
    home = Path(str(resources.files("ghn"))) / "pretrained"
    if not home.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(home.iterdir()) if (folder / CONFIG_FILE).is_file()}


def available() -> dict[str, str]:
    """Names that `ghn.from_pretrained` knows without a path, each with a few words on it."""
    here = dict.fromkeys(bundled(), "comes with the package")
    return here | {name: f"released {release.preset}, downloaded at first use" for name, release in RELEASES.items()}


def resolve(name_or_path: str | Path) -> Source:
    """Decide what a name or path means, without touching the network.

    A `Path`, and a text with a separator or suffix that exists, is local. Otherwise names of bundled and released
    hypernetworks (these with or without ".pt") come first, then whatever exists locally, then "user/repo" on the hub.

    Args:
        name_or_path: What the user gave.

    Returns:
        What it leads to.

    Raises:
        ValueError: If it is none of these, listing the names there are and the nearest ones.
    """
    check_path(name_or_path, "a hypernetwork's name")
    text = os.fspath(name_or_path)
    path = Path(text)
    local = isinstance(name_or_path, Path) or (exists(path) and (path.name != text or bool(path.suffix)))
    if not local:
        if text in bundled():
            return Source(kind="bundled", name=text, path=bundled()[text])
        if text.removesuffix(".pt") in RELEASES:
            return Source(kind="released", name=text.removesuffix(".pt"))
    if exists(path):
        return Source(kind="folder", name=text, path=_home(path)) if path.is_dir() else _file(text, path)
    is_file_name = path.suffix in FILE_SUFFIXES
    if not local and not is_file_name and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", text):
        return Source(kind="hub", name=text)
    if local or is_file_name or path.name != text:
        raise CheckpointError(f"{text}: there is no such file or folder")
    names = list(available())
    near = difflib.get_close_matches(text[:100], names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(
        f"unknown hypernetwork {shown(text)!r}: {hint}there are {', '.join(names)}, hub repositories (user/repo), "
        "and local folders and files"
    )


def _file(text: str, path: Path) -> Source:
    if path.suffix == ".safetensors" and not exists(path.parent / CONFIG_FILE):
        raise CheckpointError(
            f"{text} is no hypernetwork: no {CONFIG_FILE} is beside it. The parameters of a model are a start; a "
            "hypernetwork is a name, or a folder that a training or a conversion wrote"
        )
    return Source(kind="file", name=text, path=path)


def _home(folder: Path) -> Path:
    """Where a folder's hypernetwork is: in it, or where a training put it at its end."""
    if exists(folder / WEIGHTS_FILE) or not (exists(folder / LOG) or exists(folder / CURRENT)):
        return folder
    if exists(folder / TRAINED / WEIGHTS_FILE):
        return folder / TRAINED
    raise CheckpointError(
        f"{folder} holds a training that has not ended; ghn convert {folder} -o FOLDER makes a hypernetwork of it"
    )


def released_folder(name: str, revision: str | None, cache_dir: str | Path | None, token: str | bool | None) -> Path:
    """Folder with a released hypernetwork, downloaded and converted unless that was done before.

    Args:
        name: One of `RELEASES`.
        revision: Of the hub repository; the newest by default.
        cache_dir: Where downloads and the converted folder are kept; by default the hub's own cache.
        token: For the hub.

    Returns:
        A folder of the format that `save_pretrained` writes.

    Raises:
        CheckpointError: If it cannot be downloaded, or what was downloaded is not a sound checkpoint.
    """
    file = download(RELEASE_REPOSITORY, f"{name}.pt", revision, cache_dir, token, local_first=True)
    # The hub's cache keeps files in one folder per commit.
    folder = Path(cache_dir or constants.HF_HUB_CACHE) / "ghn-converted" / f"{name}-{file.parent.name[:12]}"
    if not (folder / CONFIG_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        convert_checkpoint(file, folder)
    return folder


def download(
    repository: str,
    file: str,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    *,
    local_first: bool = False,
) -> Path:
    """Fetch one file of a hub repository, or find it in the hub's cache.

    Args:
        repository: "user/repo".
        file: Its name there.
        revision: Branch, tag or commit; the newest by default.
        cache_dir: The hub's cache; by default where huggingface_hub keeps it.
        token: For private repositories.
        local_first: Do not ask the hub for a newer one if the file is in the cache.

    Returns:
        Path in the cache.

    Raises:
        CheckpointError: In one line, if it cannot be had.
    """
    offline = constants.HF_HUB_OFFLINE or not _reachable()
    for local_only in (True, False) if local_first and not offline else (offline,):
        try:
            with _quiet():
                return Path(
                    hf_hub_download(
                        repository,
                        file,
                        revision=revision,
                        cache_dir=cache_dir,
                        token=token,
                        local_files_only=local_only,
                    )
                )
        except LocalEntryNotFoundError:
            if local_only and not offline:
                continue
            raise CheckpointError(
                f"cannot fetch {file} of {repository}: the model hub ({constants.ENDPOINT}) cannot be reached and the "
                "file is not in the local cache; check the network, or give a local file or folder"
            ) from None
        except _FETCH_ERRORS as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"cannot fetch {file} of {repository} from {constants.ENDPOINT} ({type(error).__name__}: {reason})"
            ) from None
    raise AssertionError("unreachable: the last attempt returns or raises")


def download_if_there(
    repository: str, file: str, revision: str | None, cache_dir: str | Path | None, token: str | bool | None
) -> Path | None:
    """As `download`; None if the repository has no such file, or the hub cannot be asked and none is in the cache."""
    try:
        return download(repository, file, revision, cache_dir, token)
    except CheckpointError as error:
        if isinstance(error.__cause__ or error.__context__, EntryNotFoundError):
            return None
        raise


def _reachable() -> bool:
    """Whether the hub's name resolves; huggingface_hub itself would retry for half a minute before it gives up."""
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep huggingface_hub's warnings about retries away from users: what fails is raised anyway."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
