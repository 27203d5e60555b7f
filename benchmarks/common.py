"""What every benchmark shares: a description of the machine, the floor of its hardware, dated result files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Hardware and versions that a result depends on."""
    import numpy
    import scipy

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        models = [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        cpu = models[0] if models else cpu
    found: dict[str, Any] = {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "load_before": os.getloadavg()[0],
    }
    for name in ("torchvision", "timm", "transformers"):
        if name in sys.modules:
            found[name] = sys.modules[name].__version__
    return found


def commit() -> str:
    """The revision that was measured, with a mark if the tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def floor(device: torch.device | str = "cpu") -> dict[str, float]:
    """What the hardware allows: bytes written per second, and float32 operations per second of a matrix product."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    matrix = torch.randn(2048, 2048, device=device)
    return {
        "bytes_per_second": source.numel() * 4 / best_of(5, lambda: target.copy_(source)),
        "operations_per_second": 2 * 2048**3 / best_of(5, lambda: matrix @ matrix),
    }


def best_of(times: int, function: Callable[[], Any]) -> float:
    """Least wall-clock seconds of several calls."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def save(name: str, rows: list[dict[str, Any]], *, table: str, extra: dict[str, Any] | None = None) -> Path:
    """Write `results/<date>_<name>.json` and `.md`; returns the path of the former.

    Of absolute paths in the command only the last part is kept: the rest is true of one machine only.
    """
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"{date.today().isoformat()}_{name}"
    arguments = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = " ".join([f"python -m benchmarks.{Path(sys.argv[0]).stem}", *arguments])
    facts = {"command": command, "commit": commit(), "machine": machine()}
    return write(stem, name, facts, table, {**(extra or {}), "rows": rows})


def write(stem: Path, title: str, facts: dict[str, Any], table: str, rest: dict[str, Any]) -> Path:
    """Write a result as JSON, and for readers as Markdown; returns the path of the former.

    Args:
        stem: Both files' path without an ending.
        title: Of the page.
        facts: What was run, on what (`machine`), when: a list above the table.
        table: Markdown.
        rest: For the JSON file only.
    """
    stem.with_suffix(".json").write_text(json.dumps({**facts, **rest}, indent=1) + "\n")
    shown = {**facts, "command": f"`{facts['command']}`", **facts["machine"]}
    head = "\n".join(f"- {key}: {value}" for key, value in shown.items() if key != "machine")
    stem.with_suffix(".md").write_text(f"# {title}\n\n{head}\n\n{table}\n")
    return stem.with_suffix(".json")


def markdown(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """A Markdown table; `columns` maps each key to its format specification."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [format(row[key], spec) if row.get(key) is not None else "" for key, spec in columns.items()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
