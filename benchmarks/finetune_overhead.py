"""Time of a step of `ghn.finetune` beside a bare loop over the same model and batches.

python -m benchmarks.finetune_overhead
python -m benchmarks.finetune_overhead --model resnet50 --steps 10 --rounds 6

ResNet-18 for ten classes, 64 images of 32 pixels, SGD. Both alternate in one process, some steps each, so that what
else the machine does meets both alike; each round starts with the other one. The bare loop takes the batches of the
same stream and does nothing but forward pass, cross-entropy, backward pass and update; the fine-tuning also limits the
gradient's norm, logs and moves a progress bar. Evaluation at the start and the end is left out: its images are two.
Seconds of the wall and of the processor: the latter hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torchvision
from torch.nn import functional

import ghn
from benchmarks.common import markdown, save
from ghn.data import Augmentation, ImageSet, ImageStream
from ghn.finetuning.stepper import NetworkStepper


def now() -> tuple[float, float]:
    """Seconds of the wall, and of the processor over all threads of this process."""
    return time.perf_counter(), time.process_time()


def between(moments: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What each step took: all between two moments, but for the first step, which allocates memory."""
    return [(end[0] - begin[0], end[1] - begin[1]) for begin, end in itertools.pairwise(moments[1:])]


def images(count: int, size: int) -> ImageSet:
    """Noise, which costs what images cost."""
    generator = torch.Generator().manual_seed(0)
    return ImageSet(
        name="noise",
        images=torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator),
        labels=torch.arange(count) % 10,
        classes=tuple(map(str, range(10))),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )


def bare(arguments: argparse.Namespace, training: ImageSet) -> list[tuple[float, float]]:
    """Seconds of each step of a loop as one writes it by hand."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, arguments.model)(num_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=3e-5)
    stream = ImageStream(training, batch_size=arguments.batch_size, augmentation=Augmentation())
    ends = [now()]
    for step in range(arguments.steps + 1):
        inputs, labels = stream.batch(step)
        if not arguments.contiguous:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ends.append(now())
    return between(ends)


@contextmanager
def noted(ends: list[tuple[float, float]]) -> Iterator[None]:
    """Note when each step begins: what comes between two is a step with all that belongs to it."""
    gradient = NetworkStepper.gradient

    def note(*given: Any) -> None:
        ends.append(now())
        gradient(*given)

    NetworkStepper.gradient = note  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        NetworkStepper.gradient = gradient  # type: ignore[method-assign]


def finetuned(arguments: argparse.Namespace, training: ImageSet, test: ImageSet) -> list[tuple[float, float]]:
    """Seconds of each step of a fine-tuning that is kept in a folder."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, arguments.model)(num_classes=10)
    begins: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder, noted(begins):
        ghn.finetune(
            model,
            (training, test),
            folder=folder,
            # From the beginning of the second step to that of the one after the last.
            steps=arguments.steps + 2,
            learning_rates=(0.01,),
            batch_size=arguments.batch_size,
            hold_out=0,
        )
    return between(begins)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20, help="of each round")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--contiguous", action="store_true", help="the bare loop keeps PyTorch's order of axes")
    arguments = parser.parse_args()
    training, test = images(2048, arguments.image_size), images(2, arguments.image_size)
    ways: dict[str, Any] = {
        "bare loop": lambda: bare(arguments, training),
        "ghn.finetune": lambda: finetuned(arguments, training, test),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(arguments.rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            found[name] += ways[name]()
            print(
                number,
                name,
                *(f"{statistics.median(values):.4f}" for values in zip(*found[name], strict=True)),
                flush=True,
            )
    rows: list[dict[str, Any]] = []
    for name, pairs in found.items():
        wall, processor = (list(values) for values in zip(*pairs, strict=True))
        figures = {"wall": statistics.median(wall), "processor": statistics.median(processor)}
        figures["least_processor"] = min(processor)
        base = rows[0] if rows else figures
        ratios = {f"{key}_ratio": value / base[key] for key, value in figures.items()}
        rows.append({"what": name, "steps": len(pairs), **figures, **ratios})
    columns = {"what": "", "steps": "d"} | dict.fromkeys(
        ("wall", "wall_ratio", "processor", "processor_ratio", "least_processor", "least_processor_ratio"), ".3f"
    )
    save("finetune_overhead", rows, table=markdown(rows, columns), extra=vars(arguments))
    print(markdown(rows, columns))


if __name__ == "__main__":
    main()
