"""What a target network costs on a GPU while its shapes are new and once they are known, depthwise by cuDNN or not.

python -m benchmarks.cold_shapes --networks 12      # one CUDA device; on a CPU both paths are the same

Each path takes the same networks of the whole training split, twice: cold, then warm. Paths must be separate processes,
since what one compiled the other would find. Seconds are those of the parts of a meta-training step, for each network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

import torch

from benchmarks.common import markdown, save
from benchmarks.meta_training import Contender
from ghn.deepnets import Space
from ghn.hypernet import GHNConfig
from ghn.meta.config import MetaTrainingConfig

PARTS = ("loading", "hypernet_forward", "target_forward", "target_backward", "hypernet_backward", "optimizer")


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds by part of each network, cold and warm, in this process."""
    config = MetaTrainingConfig(
        hypernet=GHNConfig.preset("ghn3-t", num_classes=10),
        space=Space(max_nodes=256),
        meta_batch=1,
        images=arguments.images,
        precision=arguments.precision,
        cudnn_depthwise=arguments.path == "cudnn",
        seed=1,
    )
    contender = Contender(config, torch.device(arguments.device), "wall")
    # The first network pays for libraries and contexts; none of its shapes is among the others by design.
    contender.step(10_000)
    rows = []
    for state in ("cold", "warm"):
        steps = [contender.step(number) for number in range(arguments.networks)]
        row: dict[str, Any] = {"path": arguments.path, "shapes": state}
        row |= {part: statistics.mean(step[part] for step in steps) for part in PARTS}
        totals = [sum(step[part] for part in PARTS) for step in steps]
        row |= {"mean": statistics.mean(totals), "median": statistics.median(totals), "most": max(totals)}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=12)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--path", choices=["own", "cudnn"], help="measure this one here and print it as JSON")
    arguments = parser.parse_args()
    if arguments.path is not None:
        print(json.dumps(measure(arguments)))
        return
    rows: list[dict[str, Any]] = []
    for path in ("own", "cudnn"):
        command = [sys.executable, "-m", "benchmarks.cold_shapes", *sys.argv[1:], "--path", path]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows += json.loads(output.splitlines()[-1])
        print(rows[-2], rows[-1], sep="\n", flush=True)
    columns = {"path": "", "shapes": "", **dict.fromkeys((*PARTS, "mean", "median", "most"), ".3f")}
    extra = {"networks": arguments.networks, "images": arguments.images, "note": "seconds for each network"}
    save("cold_shapes", rows, table=markdown(rows, columns), extra=extra)


if __name__ == "__main__":
    main()
