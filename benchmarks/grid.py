"""What a grid costs besides its cells: a hundred thousand that compute nothing.

python -m benchmarks.grid --cells 100000
python -m benchmarks.grid --cells 10000 --workers 2
python -m benchmarks.grid --cells 2000 --ray local
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save
from ghn.experiments.grid.cell import Cell, Found, Job, Kind
from ghn.experiments.grid.drive import Grid, Progress
from ghn.experiments.grid.executors import Executor, Here, Processes
from ghn.experiments.grid.place import open_place
from ghn.experiments.grid.store import Store


def _nothing(job: Job) -> Found:
    return Found(value={"number": job.settings["number"]})


NOTHING = Kind(version=1, run=_nothing)


def cells(count: int) -> Iterator[Cell]:
    """Cells, made one after the other."""
    return (Cell(kind="benchmarks.grid:NOTHING", settings={"number": number}) for number in range(count))


def resident_mb() -> float:
    """Memory of this process at this moment."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def computed(folder: str, count: int, executor: Executor) -> list[float]:
    """Seconds of all cells; memory after the first tenth, and at the end."""
    memory: list[float] = []

    def look(progress: Progress) -> None:
        if progress.done in (max(1, count // 10), count):
            memory.append(resident_mb())

    with Store(open_place(folder)) as store:
        began = time.perf_counter()
        Grid(store, executor, progress=look).run(cells(count))
        return [time.perf_counter() - began, *memory]


def measured(folder: str, count: int, executor: Executor, name: str) -> dict[str, Any]:
    """A row."""
    # Processes begin when they are needed.
    computed(folder + "-before", 2 * executor.slots, executor)
    seconds, early, late = computed(folder, count, executor)
    began = time.perf_counter()
    with Store(open_place(folder)) as store:
        opened = time.perf_counter() - began
        assert len(store) == count
        began = time.perf_counter()
        ran = Grid(store, executor).run(cells(count))
        resumed = time.perf_counter() - began
        assert (ran.there, ran.computed) == (count, 0)
        began = time.perf_counter()
        assert sum(1 for _ in store.records(cell.digest for cell in cells(count))) == count
        read = time.perf_counter() - began
    return {
        "way": name,
        "cells": count,
        "ms_a_cell": 1000 * seconds / count,
        "mb_after_a_tenth": early,
        "mb_at_the_end": late,
        "opening_s": opened,
        "resuming_s": resumed,
        "reading_all_s": read,
    }


def main() -> None:
    """Measure, and write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ray")
    parser.add_argument("--address", help="of fsspec, e.g. memory://grid; a temporary folder by default")
    options = parser.parse_args()
    executor: Executor
    name = "one process"
    if options.ray:
        from ghn.experiments.grid.ray_cluster import RayCluster

        executor, name = RayCluster(options.ray), f"Ray, {options.ray}"
    elif options.workers > 1:
        executor, name = Processes(options.workers), f"{options.workers} processes"
    else:
        executor = Here()
    folder = tempfile.mkdtemp()
    try:
        row = measured(options.address or f"{folder}/grid", options.cells, executor, name)
    finally:
        executor.close()
        shutil.rmtree(folder)
    columns = {"way": "", "cells": ",", "ms_a_cell": ".2f", "mb_after_a_tenth": ".0f", "mb_at_the_end": ".0f"}
    columns |= {"opening_s": ".2f", "resuming_s": ".2f", "reading_all_s": ".2f"}
    suffix = name.replace(", ", "_").replace(" ", "_")
    print(save(f"grid_{suffix}", [row], table=markdown([row], columns)))


if __name__ == "__main__":
    main()
