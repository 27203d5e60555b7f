"""How long a user waits for help and lists, beside what Python alone takes: wall-clock and processor seconds.

    python -m benchmarks.startup

Each command is started many times, in turns; the least of the wall-clock times is what the machine can do, the median
what it did.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from typing import Any

from benchmarks.common import markdown, save

LIMITS = {"ghn --help": 0.1, "ghn predict --help": 0.3}
"""Seconds that these may take at most."""

COMMANDS = ("ghn --help", "ghn predict --help", "ghn finetune --help", "ghn train --help", "ghn analyze scores --help",
            "ghn experiment", "ghn train")  # fmt: skip


def timed(words: list[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of a program."""
    began = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]
    process = os.posix_spawn(words[0], words, os.environ, file_actions=nowhere)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"{' '.join(words)} failed")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Time the commands and write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10, help="runs of each command")
    options = parser.parse_args()
    program = shutil.which("ghn")
    if program is None:
        parser.error("the command ghn is not installed")
    started = {name: [program, *name.split()[1:]] for name in COMMANDS}
    started = {"python -c pass": [sys.executable, "-c", "pass"], **started}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in started}
    for number in range(options.repeat + 1):
        for name, words in started.items():
            taken = timed(words)
            if number:  # the first one reads files from the disk
                times[name].append(taken)
    rows: list[dict[str, Any]] = []
    for name, found in times.items():
        walls, processors = [wall for wall, _ in found], [processor for _, processor in found]
        rows.append(
            {
                "command": name,
                "least": min(walls),
                "median": statistics.median(walls),
                "processor": min(processors),
                "limit": str(LIMITS.get(name, "")),
            }
        )
    table = markdown(rows, {"command": "", "least": ".3f", "median": ".3f", "processor": ".3f", "limit": ""})
    print(table)
    print(save("startup", rows, table=table, extra={"repeat": options.repeat}))


if __name__ == "__main__":
    main()
