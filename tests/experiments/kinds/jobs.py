"""Jobs as grids give them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ghn.experiments.grid.cell import Job


def job(folder: Path, settings: Mapping[str, Any], seed: int = 0, needs: Mapping[str, Path] | None = None) -> Job:
    """What a kind computes from, with its folders in one."""

    def work() -> Path:
        (folder / "work").mkdir(parents=True, exist_ok=True)
        return folder / "work"

    return Job(settings=settings, seed=seed, needs=needs or {}, folder=work, output=folder / "output")
