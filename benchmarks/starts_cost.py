"""What each start costs, in forward passes of the model that it is for.

python -m benchmarks.starts_cost
python -m benchmarks.starts_cost --models resnet18 --steps 3

Random images of CIFAR-10's size. Of starts that learn scales `--steps` steps are timed, and the whole is given for the
number of steps that is their default: a step times these, and once what is done before and after them. Their bound is
set out of reach, so that each step is one on the objective, the dearer kind. A hypernetwork is loaded before.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
import torchvision
from torch import nn

from benchmarks.common import best_of, markdown, save
from ghn.initializers import create
from ghn.initializers.learned.bounded import BoundedStart
from ghn.initializers.learned.start import LearnedStart
from ghn.initializers.report import Batch

STARTS = [
    "ghn:ghn3-t-cifar10",
    "orthogonal",
    "delta-orthogonal",
    "orthogonalise",
    "noise:0.3rel",
    "mimetic",
    "lsuv",
    "unit-variance",
    "statistics",
    "calibrate",
    "metainit",
    "gradinit",
    "gradinit:adam",
    "nio",
    "nio:adam",
]


def made(name: str, seed: int) -> nn.Module:
    """The model for ten classes."""
    torch.manual_seed(seed)
    model: nn.Module = getattr(torchvision.models, name)(num_classes=10)
    return model


def measure(
    name: str, start: str, batches: list[Batch], forward: float, arguments: argparse.Namespace
) -> dict[str, Any]:
    """One start of one model."""
    defaults = create(start).steps[-1]
    learned = isinstance(defaults, LearnedStart)
    joint = "," if ":" in start else ":"
    bound = ",gamma=1e9" if isinstance(defaults, BoundedStart) else ""
    chain = create(f"{start}{joint}steps={arguments.steps}{bound}" if learned else start)
    steps: list[float] = []
    if learned:
        time_steps(chain.steps[-1], steps)
    else:
        # Imports, files of hypernetworks and first calls of operators are not the start's.
        chain(made(name, arguments.seed), batches, seed=arguments.seed)
    model = made(name, arguments.seed)
    began = time.perf_counter()
    chain(model, batches, seed=arguments.seed)
    seconds = time.perf_counter() - began
    row: dict[str, Any] = {"model": name, "start": start}
    if isinstance(defaults, LearnedStart):
        row |= {"step": min(steps) / forward, "steps": defaults.steps}
        seconds += defaults.steps * min(steps) - sum(steps)
    return row | {"seconds": seconds, "forward_passes": seconds / forward}


def time_steps(start: Any, seconds: list[float]) -> None:
    """Let a start that learns scales note the seconds of each of its steps."""
    step = start.step

    def timed(*args: Any) -> bool:
        began = time.perf_counter()
        finite: bool = step(*args)
        seconds.append(time.perf_counter() - began)
        return finite

    start.step = timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50"])
    parser.add_argument("--starts", nargs="+", default=STARTS)
    parser.add_argument("--steps", type=int, default=1, help="steps of starts that learn scales, timed")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(arguments.seed)
    shape = arguments.batch_size, 3, arguments.image_size, arguments.image_size
    batches = [
        (torch.randn(shape, generator=generator), torch.randint(10, (arguments.batch_size,), generator=generator))
        for _ in range(arguments.batches)
    ]
    columns = {"model": "", "start": "", "forward_passes": ".1f", "seconds": ".2f", "steps": "d", "step": ".1f"}
    extra = {"batch_size": arguments.batch_size, "batches": arguments.batches, "image_size": arguments.image_size}
    rows: list[dict[str, Any]] = []
    for name in arguments.models:
        model = made(name, arguments.seed)
        with torch.no_grad():
            forward = best_of(5, lambda model=model: model(batches[0][0]))  # type: ignore[misc]
        rows.append({"model": name, "start": "a forward pass", "seconds": forward, "forward_passes": 1.0})
        print(rows[-1], flush=True)
        for start in arguments.starts:
            rows.append(measure(name, start, batches, forward, arguments))
            print(rows[-1], flush=True)
        # After each model, for the larger ones take long.
        save("starts_cost", rows, table=markdown(rows, columns), extra=extra)


if __name__ == "__main__":
    main()
