"""Time and memory of the analyses behind tables 9 and 13 and figures 6 and 9, each in a process of its own.

    python -m benchmarks.analysis --data FOLDER [MODEL ...]

Without models the paper's 74 are taken. Starts that need no download are: the default one and orthogonal weights.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import markdown, save

TASKS = {
    "table 13, scores and tau": ("rank", "--init", "default"),
    "figures 6 and 9, variance": ("variance", "--init", "default,orthogonal"),
    "table 9, diversity": ("diversity", "--init", "default,orthogonal", "--matched", "default"),
}


def measured(name: str, models: list[str], data: str, images: int) -> dict[str, Any]:
    """Wall-clock seconds and peak memory of a task."""
    task, *words = TASKS[name]
    with TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "ghn",
            "analyze",
            task,
            *models,
            *words,
            "--data",
            data,
            "--images",
            str(images),
        ]
        command += ["--num-classes", "1000", "--quiet", "--folder", folder, "-o", str(Path(folder) / "found.json")]
        began = time.perf_counter()
        process = os.spawnv(os.P_NOWAIT, sys.executable, command)
        _, status, usage = os.wait4(process, 0)
    return {
        "task": name,
        "exit_code": os.waitstatus_to_exitcode(status),
        "minutes": (time.perf_counter() - began) / 60,
        "processor_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "peak_gb": usage.ru_maxrss / 1e6,
    }


def main() -> None:
    """Run the tasks and write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["torchvision-74"], help="as ghn analyze takes them")
    parser.add_argument("--data", required=True, help="folder of <class>/*.jpg")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--only", choices=("rank", "variance", "diversity"), nargs="*", help="tasks (default: all)")
    parser.add_argument("--name", default="analysis", help="of the result files")
    options = parser.parse_args()
    names = [name for name, (task, *_) in TASKS.items() if options.only is None or task in options.only]
    rows = [measured(name, options.models, options.data, options.images) for name in names]
    columns = {"task": "", "minutes": ".1f", "processor_minutes": ".1f", "peak_gb": ".1f", "exit_code": "d"}
    table = markdown(rows, columns)
    print(table)
    print(save(options.name, rows, table=table, extra={"models": options.models, "images": options.images}))


if __name__ == "__main__":
    main()
