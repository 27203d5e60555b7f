"""Time and memory of the analyses behind tables 9 and 13 and figures 6 and 9, each in a process of its own.

    python -m benchmarks.analysis --data FOLDER [MODEL ...]

Without models the paper's 74 are taken. Starts that need no download are: the default one and orthogonal weights. With
`--folder` records stay there, and a second call goes on: `networks` is the time that all networks took, whichever call
looked at them, `minutes` that of this call.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import markdown, save

TASKS = {
    "table 13, scores and tau": ("rank", "--init", "default"),
    "figures 6 and 9, variance": ("variance", "--init", "default,orthogonal"),
    "table 9, diversity": ("diversity", "--init", "default,orthogonal", "--matched", "default"),
}


def measured(name: str, models: list[str], data: str, images: int, kept: Path | None) -> dict[str, Any]:
    """Wall-clock seconds and peak memory of a task, and what it found."""
    task, *words = TASKS[name]
    with TemporaryDirectory() if kept is None else nullcontext(str(kept / task)) as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        found = Path(folder) / "found.json"
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
        command += ["--num-classes", "1000", "--quiet", "--folder", folder, "-o", str(found), "--force"]
        began = time.perf_counter()
        process = os.spawnv(os.P_NOWAIT, sys.executable, command)
        _, status, usage = os.wait4(process, 0)
        result = json.loads(found.read_text()) if found.exists() else {}
        records = [json.loads(file.read_text()) for file in Path(folder).glob("*.json") if file != found]
    if "config" in result:
        result["config"]["data"] = Path(data).name  # where it lies is nobody's affair
    seconds = [record["seconds"] for record in records if "seconds" in record]
    return {
        "task": name,
        "records": len(seconds),
        "networks": sum(seconds) / 60,
        "slowest": max(seconds, default=0.0) / 60,
        "exit_code": os.waitstatus_to_exitcode(status),
        "minutes": (time.perf_counter() - began) / 60,
        "processor_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "peak_gb": usage.ru_maxrss / 1e6,
        # Of every layer of 148 networks it is a megabyte.
        "found": None if task == "variance" else result,
    }


def main() -> None:
    """Run the tasks and write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["torchvision-74"], help="as ghn analyze takes them")
    parser.add_argument("--data", required=True, help="folder of <class>/*.jpg")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--only", choices=("rank", "variance", "diversity"), nargs="*", help="tasks (default: all)")
    parser.add_argument("--folder", type=Path, help="where records stay (default: nowhere)")
    parser.add_argument("--name", default="analysis", help="of the result files")
    options = parser.parse_args()
    names = [name for name, (task, *_) in TASKS.items() if options.only is None or task in options.only]
    rows = [measured(name, options.models, options.data, options.images, options.folder) for name in names]
    minutes = dict.fromkeys(("networks", "slowest", "minutes", "processor_minutes"), ".1f")
    columns = {"task": "", "records": "d", **minutes, "peak_gb": ".1f", "exit_code": "d"}
    table = markdown(rows, columns)
    print(table)
    print(save(options.name, rows, table=table, extra={"models": options.models, "images": options.images}))


if __name__ == "__main__":
    main()
