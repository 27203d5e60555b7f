"""Accuracy in evaluation mode of predicted networks by where their batch-norm statistics come from, on CIFAR-10.

python -m benchmarks.statistics_images --data-root CIFAR10
python -m benchmarks.statistics_images --models resnet18 --networks 0 --ghn ghn3-t-cifar10-wide

Columns: `own`, in evaluation mode with the statistics of a fresh model; `shipped`, with those of the images that the
hypernetwork brings along (what `ghn predict` does); `training`, with those of so many training images; `train`, the
accuracy in training mode, where batch norms normalise by batches of 64 test images, dropout off; `dropout`, the same
with dropout on; `difference`, shipped - train, in points. All on the same test images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from benchmarks.common import markdown, save
from ghn.batch_norm import set_statistics
from ghn.common.private_torch import is_batch_norm
from ghn.data.load import load
from ghn.data.sample import BATCH_SIZE, sample_batches
from ghn.data.stream import ImageStream
from ghn.deepnets import DeepNets, network_from_arguments
from ghn.deepnets.cost import megamacs
from ghn.evaluate.accuracy import score
from ghn.model import from_pretrained

COLUMNS = {"model": "", "ghn": "", **dict.fromkeys(("own", "shipped", "training", "train", "dropout"), ".1f")}


def networks(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Models of torchvision, and the first networks of the test split that have batch norms and are cheap enough."""
    for name in arguments.models:
        yield name, partial(getattr(torchvision.models, name), num_classes=10)
    split, found, index = DeepNets("test"), 0, 0
    while found < arguments.networks:
        chosen = split.arguments(index)
        if chosen.norm is not None and megamacs(split.network(chosen).plan) <= arguments.max_megamacs:
            found += 1
            yield f"test {index}", partial(network_from_arguments, chosen, 10, 32, running_statistics=True)
        index += 1


def measure(make: Callable[[], nn.Module], hypernet: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Accuracies of one network, in per cent."""
    torch.manual_seed(arguments.seed)
    model = make()
    test = ImageStream(load("cifar10", root=arguments.data_root, split="test"), batch_size=BATCH_SIZE, seed=0)

    def accuracy() -> float:
        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        found = 100 * score(model, test, images=arguments.test_images).top1
        model.load_state_dict(before, strict=False)
        return found

    example = torch.zeros(2, 3, 32, 32)
    hypernet.initialize(model, example, seed=arguments.seed)
    model.eval()
    row: dict[str, Any] = {"own": accuracy()}
    report = hypernet.initialize(model, example, seed=arguments.seed, statistics=True)
    row |= {"shipped": accuracy(), "statistics": str(report.statistics)}
    set_statistics(model, sample_batches("cifar10", arguments.images, root=arguments.data_root, seed=arguments.seed))
    row["training"] = accuracy()
    for module in model.modules():
        module.training = is_batch_norm(module)
    row["train"] = accuracy()
    random = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    model.train()
    row["dropout"] = accuracy() if random else row["train"]
    return row | {"difference": row["shipped"] - row["train"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["resnet18", "resnet50", "densenet121"])
    parser.add_argument("--networks", type=int, default=5, help="of the test split")
    parser.add_argument("--max-megamacs", type=float, default=100.0, help="of these, millions of multiply-adds")
    parser.add_argument("--ghn", nargs="+", default=["ghn3-t-cifar10", "ghn3-t-cifar10-wide"])
    parser.add_argument("--images", type=int, default=512, help="training images in the column `training`")
    parser.add_argument("--test-images", type=int, default=2048)
    parser.add_argument("--data-root", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    extra = {"images": arguments.images, "test_images": arguments.test_images, "seed": arguments.seed}
    rows = []
    for source in arguments.ghn:
        hypernet = from_pretrained(source)
        for name, make in networks(arguments):
            rows.append({"model": name, "ghn": source, **measure(make, hypernet, arguments)})
            print(rows[-1], flush=True)
        # After each hypernetwork, so that what is done stays.
        save("statistics_images", rows, table=markdown(rows, {**COLUMNS, "difference": "+.1f"}), extra=extra)


if __name__ == "__main__":
    main()
