"""The paper's tables and figures in their small scale: dated files with command, machine and duration.

    python -m benchmarks.experiments                                     # all of them, hours
    python -m benchmarks.experiments table4 figure4 --folder runs/small  # two, with cells kept in that folder

Where no folder of Penn-Fudan is named, table 8 is computed on drawn streets (`benchmarks.drawn_people`), and says so.

Each is the command that a user gives (`ghn experiment NAME --scale small …`); experiments share cells, so that the time
of one is that of what those before it had not computed. What came of them, beside the paper, is told in
docs/explanation/paper.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import drawn_people
from benchmarks.common import RESULTS, commit, machine, write

DATA = {
    # What compares hypernetworks that it trains, or trains networks for epochs, does so on digits; others are on
    # CIFAR-10, of which the hypernetworks of the package are.
    "table1": "digits",
    "table3": "digits",
    "figure3": "digits",
    "table5": "digits",
    "table10": "digits",
    "table11": "digits",
    "figure9": "cifar10",
    "table9": "cifar10",
    "figure2": "cifar10",
    "table4": "cifar10",
    "figure4": "cifar10",
    "figure5": "cifar10",
    "figure7": "cifar10",
    "table12": "cifar10",
    "table13": "cifar10",
    "table2": "cifar10",
    "figure1": "cifar10",
    "table7": "digits",
    "table6": "digits",
    "figure6": "digits",
    "figure8": "digits",
    "table8": "cifar10",
}
"""The experiments in the order of their costs, and the images of each."""

DRAWN = 60
"""Streets that are drawn for table 8, of which the last 20 are tested on."""


def main() -> None:
    """Run the experiments named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {' '.join(DATA)}")
    parser.add_argument("--folder", type=Path, help="where cells are kept (default: a temporary folder)")
    parser.add_argument("--data-root", type=Path, help="of the data sets; for table8 the folder of PennFudanPed/")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in DATA]:
        parser.error(f"unknown {', '.join(unknown)}; there are {', '.join(DATA)}")
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.names or DATA:
            run(name, arguments.folder or Path(temporary), arguments)


def run(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    """One experiment: its table, its numbers, and its figure if it has one."""
    place = RESULTS / f"{date.today().isoformat()}_experiments"
    place.mkdir(exist_ok=True)
    shown = ["ghn", "experiment", name, "--scale", "small", "--data", DATA[name], "--workers", str(arguments.workers)]
    data_root, drawn = arguments.data_root, name == "table8" and arguments.data_root is None
    if drawn:
        data_root = folder / "drawn"
        if not data_root.exists():
            drawn_people.draw(data_root, DRAWN)
    root = [] if data_root is None else ["--data-root", str(data_root)]
    suffixes = [".md", ".json", *([".svg"] if name.startswith("figure") else [])]
    before = counts(shown, [*root, "--folder", str(folder)])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        outputs = [Path(temporary) / f"{name}{suffix}" for suffix in suffixes]
        words = [*shown, *root, "--folder", str(folder), "--quiet", "-o", *map(str, outputs)]
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode:
            print(f"{name}: {done.stderr.strip()}", flush=True)
        if not outputs[0].exists():
            return
        after = counts(shown, [*root, "--folder", str(folder)])
        facts = {
            "command": " ".join(shown),
            "commit": commit(),
            "seconds": round(seconds, 1),
            "cells": after["cells"],
            "of these there before": before["finished"],
            "machine": machine(),
        }
        if drawn:
            facts["images"] = f"{DRAWN} drawn streets in Penn-Fudan's layout (python -m benchmarks.drawn_people)"
        title, _, table = outputs[0].read_text().partition("\n")
        rest = {"report": json.loads(outputs[1].read_text())}
        write(place / name, title.removeprefix("# "), facts, table.strip("\n"), rest)
        for picture in outputs[2:]:
            shutil.copy(picture, place / picture.name)
    print(f"{name}: {seconds:.0f} s, {after['cells']} cells", flush=True)


def counts(words: list[str], more: list[str]) -> dict[str, Any]:
    """How many cells there are, and how many are finished."""
    command = [sys.executable, "-m", *words, *more, "--cells", "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {key: sum(row[key] for row in rows) for key in ("cells", "finished")}


if __name__ == "__main__":
    main()
