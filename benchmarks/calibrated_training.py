"""Starts on CIFAR-10 by family of architectures: accuracy at once and after some steps of SGD, calibrated and not.

python -m benchmarks.calibrated_training --folder runs/calibrated --data-root CIFAR10
python -m benchmarks.calibrated_training --models resnet18 timm:lcnet_050 --steps 50

Every start of a model gets the same images in the same order, the best of the same learning rates on held-out images,
and the same test images. Batch-norm statistics are computed anew from the same training images before each accuracy but
that of the start as it is: with a momentum of 0.01, as in some families, 200 steps leave them behind. With a folder,
what was measured stays, and the same command goes on; several may work on it, each on other models (`--part 0/2`).
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.common import markdown, save
from ghn.batch_norm import set_statistics
from ghn.common.files import write_text
from ghn.data.load import load
from ghn.data.sample import BATCH_SIZE, sample_batches
from ghn.data.stream import ImageStream
from ghn.evaluate.accuracy import score
from ghn.finetuning import finetune
from ghn.initializers import create
from ghn.zoo import ModelRequest, build_model

MODELS = {
    "timm:resnet10t": "ResNet",
    "timm:repvgg_a0": "VGG",
    "densenet121": "DenseNet",
    "timm:dla46_c": "DLA",
    "squeezenet1_1": "SqueezeNet",
    "shufflenet_v2_x1_0": "ShuffleNet",
    "mobilenet_v2": "inverted bottlenecks",
    "mnasnet0_5": "inverted bottlenecks",
    "regnet_x_400mf": "RegNet",
    "regnet_y_400mf": "gates",
    "mobilenet_v3_small": "gates",
    "efficientnet_b0": "gates",
    "timm:ghostnet_100": "gates",
    "timm:lcnet_050": "gates",
    "timm:tinynet_e": "gates",
    "timm:convnext_atto": "ConvNeXt",
    "timm:edgenext_xx_small": "ConvNeXt",
    "timm:ese_vovnet19b_slim_dw": "VoVNet",
    "timm:vit_tiny_patch16_224,patch_size=8": "transformer",
    "timm:mobilevit_xxs": "transformer",
}
"""Families by name of a model."""

STARTS = ("default", "default+calibrate", "ghn", "ghn+calibrate")


class Measurement:
    """Images, and how long to train on them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        root = arguments.data_root
        self.data = (load("cifar10", root=root, split="train"), load("cifar10", root=root, split="test"))
        self.test = ImageStream(self.data[1], batch_size=BATCH_SIZE, seed=0)
        self.shown = sample_batches("cifar10", 512, root=root)

    def measure(self, name: str, start: str) -> dict[str, Any]:
        """One start of one model."""
        began = time.perf_counter()
        torch.manual_seed(0)
        request = ModelRequest(name=name, num_classes=10, image_size=32)
        model = build_model(request).model
        report = create(start)(model, self.shown, seed=0)
        row: dict[str, Any] = {
            "model": name,
            "family": MODELS.get(name, ""),
            "start": start,
            "as_it_is": self._right(model),
        }
        row["notes"] = list(report.notes)
        found = finetune(
            model,
            self.data,
            steps=self.arguments.steps,
            batch_size=self.arguments.batch_size,
            learning_rates=tuple(self.arguments.learning_rates),
            hold_out=self.arguments.hold_out,
            test_images=64,
            noise=0.0,
        )
        row |= {"rate": found.learning_rate, "trained": self._right(model, statistics=True)}
        return row | {"cost": report.seconds, "seconds": time.perf_counter() - began}

    def _right(self, model: nn.Module, *, statistics: bool = False) -> float:
        if statistics:
            set_statistics(model, self.shown)
        accuracy = 100 * score(model.eval(), self.test, images=self.arguments.test_images).top1
        model.train()
        return accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--starts", nargs="+", default=list(STARTS))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[0.02, 0.005])
    parser.add_argument("--hold-out", type=int, default=512)
    parser.add_argument("--test-images", type=int, default=512)
    parser.add_argument("--data-root", type=Path, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="where results are kept")
    parser.add_argument("--part", default="0/1", help="I/N: only the models I, I + N, I + 2 N, ...")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    measurement = Measurement(arguments)
    rows = []
    for number, name in enumerate(arguments.models):
        for start in arguments.starts:
            file = arguments.folder and arguments.folder / (re.sub(r"\W+", "-", f"{name} {start}") + ".json")
            if file and file.exists():
                rows.append(json.loads(file.read_text(encoding="utf-8")))
            elif number % parts == part:
                rows.append(measurement.measure(name, start))
                print(rows[-1], flush=True)
                if file:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    write_text(file, json.dumps(rows[-1]))
    if len(rows) < len(arguments.models) * len(arguments.starts):
        return
    names = ("steps", "batch_size", "learning_rates", "hold_out", "test_images")
    save(
        "calibrated_training",
        rows,
        table=markdown(_by_model(rows, arguments.starts), dict.fromkeys(_columns(arguments.starts), "")),
        extra={name: getattr(arguments, name) for name in names},
    )


def _columns(starts: list[str]) -> list[str]:
    return ["family", "model", *starts, "ahead"]


def _by_model(rows: list[dict[str, Any]], starts: list[str]) -> list[dict[str, Any]]:
    """A line a model: accuracy at once → after the steps, and which of the calibrated starts is ahead after them."""
    lines = []
    for name in dict.fromkeys(row["model"] for row in rows):
        own = {row["start"]: row for row in rows if row["model"] == name}
        line = {"family": next(iter(own.values()))["family"], "model": name}
        line |= {start: f"{own[start]['as_it_is']:.1f} → {own[start]['trained']:.1f}" for start in starts}
        best = {kind: max(own[s]["trained"] for s in starts if s.startswith(kind)) for kind in ("default", "ghn")}
        lines.append(line | {"ahead": f"{best['ghn'] - best['default']:+.1f}"})
    return lines


if __name__ == "__main__":
    main()
