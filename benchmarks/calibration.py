"""Accuracy of starts on CIFAR-10 as they are and calibrated, without training.

python -m benchmarks.calibration --data-root CIFAR10
python -m benchmarks.calibration --models resnet18 --starts default ghn --steps "" statistics calibrate

Every start gets the same images; accuracy in evaluation mode, and with batch norms that normalise by the batch
(`batch`), on the same test images.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from benchmarks.common import markdown, save
from ghn.data.load import load
from ghn.data.sample import BATCH_SIZE, sample_batches
from ghn.data.stream import ImageStream
from ghn.evaluate.accuracy import score, use_batch_statistics
from ghn.initializers import create


def measure(name: str, chain: str, arguments: argparse.Namespace, test: ImageStream) -> dict[str, Any]:
    """One start of one model."""
    torch.manual_seed(arguments.seed)
    model: nn.Module = getattr(torchvision.models, name)(num_classes=10)
    batches = sample_batches("cifar10", arguments.images, root=arguments.data_root, seed=arguments.seed)
    report = create(chain)(model, batches, seed=arguments.seed)
    row: dict[str, Any] = {"model": name, "start": chain, "seconds": report.seconds}
    row["evaluation"] = 100 * score(model.eval(), test, images=arguments.test_images).top1
    batch = copy.deepcopy(model)
    use_batch_statistics(batch)
    row["batch"] = 100 * score(batch, test, images=arguments.test_images).top1
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50", "densenet121"])
    parser.add_argument("--starts", nargs="+", default=["default", "ghn:ghn3-t-cifar10", "ghn:ghn3-t-cifar10-wide"])
    parser.add_argument("--steps", nargs="+", default=["", "statistics", "calibrate"], help="what follows each start")
    parser.add_argument("--images", type=int, default=512, help="training images to calibrate by")
    parser.add_argument("--test-images", type=int, default=1024)
    parser.add_argument("--data-root", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    test = ImageStream(load("cifar10", root=arguments.data_root, split="test"), batch_size=BATCH_SIZE, seed=0)
    rows = []
    for name in arguments.models:
        for start in arguments.starts:
            for step in arguments.steps:
                rows.append(measure(name, f"{start}+{step}" if step else start, arguments, test))
                print(rows[-1], flush=True)
    columns = {"model": "", "start": "", "evaluation": ".1f", "batch": ".1f", "seconds": ".1f"}
    extra = {"images": arguments.images, "test_images": arguments.test_images, "seed": arguments.seed}
    save("calibration", rows, table=markdown(rows, columns), extra=extra)


if __name__ == "__main__":
    main()
