"""Names of all models there are, kept in a file: to list them, libraries must be loaded, which takes seconds."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ghn.common.files import replaced
from ghn.zoo.build import BARE, SOURCES
from ghn.zoo.names import near
from ghn.zoo.request import Source, UnknownNameError

MOST_BYTES = 4 << 20
"""Of the file: a hundred times what it has."""


def catalogue_file() -> Path:
    """Where the names are kept: a line of versions, then a name a line. Completion of shells reads it, too."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ghn" / "models.txt"


def installed() -> dict[str, str | None]:
    """The version of each library that has models; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for library in (source.library for source in SOURCES.values()):
        assert library is not None
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = None
    return found


def all_models() -> list[str]:
    """The names of all models of the libraries that are installed, as MODEL of a command takes them.

    They are read from `catalogue_file` where it was written with the same versions of these libraries, else gathered
    from them, and kept there if that can be.
    """
    head = "# " + " ".join(f"{library}={found}" for library, found in installed().items())
    file = catalogue_file()
    with suppress(OSError, UnicodeDecodeError):
        if file.stat().st_size <= MOST_BYTES:
            first, *names = file.read_text(encoding="utf-8").splitlines() or [""]
            if first == head and names:
                return names
    names = list(_gathered())
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced(file) as partial:
            partial.write_text("\n".join([head, *names]) + "\n", encoding="utf-8")
    return names


def _gathered() -> Iterator[str]:
    there = installed()
    for prefix, source in SOURCES.items():
        if source.library is not None and there[source.library] is not None:
            yield from (name if source is BARE else f"{prefix}:{name}" for name in source.names())


def matching(pattern: str, names: list[str]) -> list[str]:
    """The names that a pattern means: with *, ? or [ it is that of a whole name, else a part of one.

    Args:
        pattern: Upper and lower case are alike.
        names: As `all_models` gives them.

    Raises:
        UnknownNameError: If there is none, with the nearest ones.
    """
    wanted = pattern.lower()
    if any(sign in wanted for sign in "*?["):
        found = [name for name in names if fnmatch.fnmatchcase(name.lower(), wanted)]
    else:
        found = [name for name in names if wanted in name.lower()]
    if not found:
        hint = near(wanted, names) or "nothing is called like it"
        raise UnknownNameError(f"no model is called {pattern!r}: {hint} ({len(names):,} models)")
    return found


def by_source(names: list[str]) -> Mapping[str, list[str]]:
    """The names by their library, in its order."""
    found: dict[str, list[str]] = {str(source.library): [] for source in SOURCES.values()}
    for name in names:
        found[str(source_of(name).library)].append(name)
    return found


def source_of(name: str) -> Source:
    """The source of a name of the catalogue."""
    prefix, colon, _ = name.partition(":")
    return SOURCES[prefix] if colon else BARE
