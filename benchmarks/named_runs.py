"""Every named run that needs a cluster or a GPU, a few steps of it on a processor core: time, memory, loss.

    python -m benchmarks.named_runs --data-root CIFAR10
    python -m benchmarks.named_runs ghn3-xl-m16 --steps 3 --data-root CIFAR10

Hypernetwork, meta-batch, optimiser, penalty and schedule are the run's own. Smaller are the images (CIFAR-10), their
number and the networks (at most 4 cells and 20 M multiply-adds), so that a step is the hypernetwork's more than theirs.
Each run has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save
from ghn.meta.config import MetaTrainingConfig, Space
from ghn.meta.run import train
from ghn.meta.runs import RUNS

IMAGES = 4
SMALL = Space(max_megamacs=20.0, max_cells=4, attention=0.25)


def small(name: str, steps: int) -> MetaTrainingConfig:
    """The run's config in a small scale."""
    config = RUNS[name].config
    return replace(
        config,
        hypernet=replace(config.hypernet, num_classes=10),
        data="cifar10",
        image_size=32,
        hold_out=0,
        space=SMALL,
        images=IMAGES,
        shared_images=False,
        steps=steps,
        precision="float32",
        validate_every=0,
        log_every=1,
        save_every=10**6,
        workers=0,
        image_workers=0,
    )


def measured(name: str, steps: int, data_root: Path | None) -> dict[str, Any]:
    """A run's steps in this process."""
    config = replace(small(name, steps), data_root=None if data_root is None else str(data_root))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        trainer = train(config, folder, device="cpu", quiet=True)
        seconds = time.perf_counter() - began
        log = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log]
    return {
        "run": name,
        "parameters_M": sum(parameter.numel() for parameter in trainer.stepper.module.parameters()) / 1e6,
        "networks": config.meta_batch,
        "seconds": seconds,
        "seconds_a_step": min(after["elapsed"] - before["elapsed"] for before, after in pairwise(log)),
        "peak_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "finite": all(map(math.isfinite, losses)),
    }


def main() -> None:
    """Measure runs one after the other, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="RUN", help="default: those that need a cluster or a GPU")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps must be at least 2: a step is timed from the one before")
    names = arguments.names or [name for name in RUNS if not name.endswith("-cpu") and name != "digits-smoke"]
    if arguments.here:
        print(json.dumps(measured(names[0], arguments.steps, arguments.data_root)))
        return
    rows = []
    for name in names:
        root = [] if arguments.data_root is None else ["--data-root", str(arguments.data_root)]
        words = [name, "--steps", str(arguments.steps), "--here", *root]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.named_runs", *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{name}: ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}", flush=True)
            continue
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    columns = {"run": "", "parameters_M": ".1f", "networks": "d", "seconds_a_step": ".1f", "peak_GB": ".1f"}
    table = markdown(rows, {**columns, "first_loss": ".3f", "last_loss": ".3f", "finite": ""})
    print(table)
    save("named_runs", rows, table=f"{arguments.steps} steps of each, {IMAGES} images a network.\n\n{table}")


if __name__ == "__main__":
    main()
