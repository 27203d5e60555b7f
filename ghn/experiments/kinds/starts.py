"""Starts in the settings of cells: chains of initialisers that may read what other cells made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ghn.initializers import create

_PLACE = re.compile(r"\{(\w+)\}")


def with_folders(init: str, needs: Mapping[str, Path]) -> str:
    """The chain with folders in the places of names.

    Args:
        init: As `ghn.initializers.create` takes it, `{name}` for the folder of what a needed cell made.
        needs: These folders.

    Raises:
        ValueError: For a name that is none of these.
    """

    def folder(found: re.Match[str]) -> str:
        if found[1] not in needs:
            raise ValueError(f"the start {init} names {found[0]}, and the cell needs {', '.join(needs) or 'nothing'}")
        return str(needs[found[1]])

    return _PLACE.sub(folder, init)


@lru_cache(maxsize=256)
def files_of_start(init: str) -> Mapping[str, str]:
    """Digest of the files that a chain reads by itself; those of needed cells are in these cells' digests."""
    digest = "" if _PLACE.search(init) else create(init).digest()
    return {"start": digest} if digest else {}
