"""Networks a second of meta-training by several processes that share one device.

python -m benchmarks.processes --processes 14 --meta-batch 14 28 56 --seconds 40 --data-root CIFAR10

Each case is a run of `ghn train` under torchrun; the log's steps and seconds count from its first third on, which holds
the start. `busy` is the share of samples in which the card ran anything, as nvidia-smi says.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save

PARTS = ("data", "hypernet_forward", "target_forward", "target_backward", "hypernet_backward", "optimizer")


def measure(processes: int, meta_batch: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for some seconds, and read the log."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command += ["-m", "ghn", "train", "ghn3-t-cifar10", "--output", folder, "--data-root", arguments.data_root]
        command += ["--minutes", str(arguments.seconds / 60), "--meta-batch", str(meta_batch), "--max-nodes", "256"]
        command += ["--images", str(arguments.images), "--precision", arguments.precision, "--shared-images", "False"]
        command += ["--log-every", "5", "--validate-every", "0", "--save-every", "100000", "--quiet"]
        command += ["--workers", str(arguments.workers), *arguments.options]
        with Busy() as busy:
            subprocess.run(command, check=True)
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    first, last = lines[len(lines) // 3], lines[-1]
    steps, seconds = last["step"] - first["step"], last["elapsed"] - first["elapsed"]
    row: dict[str, Any] = {"processes": processes, "meta_batch": meta_batch, "steps": steps}
    row |= {"step": seconds / steps, "networks_a_second": meta_batch * steps / seconds, "busy": busy.share}
    row |= {part: statistics.mean(line[f"seconds_{part}"] for line in lines[len(lines) // 3 :]) for part in PARTS}
    row["memory_gb"] = last["memory_gb"]
    return row


class Busy:
    """While it lasts, samples how busy the card is; `share` is their mean of the second half, None without a card."""

    share: float | None = None

    def __enter__(self) -> Busy:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        self.process = (
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) if shutil.which(command[0]) else None
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            samples = [float(line) / 100 for line in self.process.communicate()[0].split() if line.strip().isdigit()]
            self.share = statistics.mean(samples[len(samples) // 2 :]) if samples else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--meta-batch", type=int, nargs="+", default=[14])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data-root", default="")
    parser.add_argument("--options", type=shlex.split, default=[], help='more of ghn train: --options="--max-cells 5"')
    parser.add_argument("--no-save", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for processes in arguments.processes:
        for meta_batch in arguments.meta_batch:
            rows.append(measure(processes, meta_batch, arguments))
            print(rows[-1], flush=True)
    if arguments.no_save:
        return
    columns = {"processes": "d", "meta_batch": "d", "steps": "d", "networks_a_second": ".1f", "busy": ".2f"}
    columns |= dict.fromkeys(("step", *PARTS), ".3f") | {"memory_gb": ".2f"}
    extra = {"images": arguments.images, "precision": arguments.precision, "workers": arguments.workers}
    save("processes", rows, table=markdown(rows, columns), extra=extra)


if __name__ == "__main__":
    main()
