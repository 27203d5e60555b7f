"""What weights of a trained network of another architecture are worth as a start, on CIFAR-10.

    python -m benchmarks.weight_selection --work FOLDER             # 20 CPU minutes; the same call goes on
    python -m benchmarks.weight_selection --work FOLDER --networks vit --steps 300

A small ResNet is trained first. Then a DenseNet-like, a MobileNet-like and a ViT-like network (torchvision's classes,
at 32 px), and a thinner ResNet, start from their own initialisation, from a hypernetwork's prediction, and from the
ResNet's weights. Each start gets batch-norm statistics of the same 512 images. Accuracy in evaluation mode on the same
test images at once, after a tenth of the steps and after all; of the same learning rates that which is best after the
tenth, on held-out images.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timm.models.resnet import BasicBlock, ResNet
from torch import nn
from torchvision.models import DenseNet, MobileNetV2, VisionTransformer

from benchmarks.common import markdown, save
from ghn.common.files import write_text
from ghn.data import Augmentation, ImageStream, load
from ghn.data.sample import sample_batches
from ghn.evaluate import score
from ghn.finetuning import FinetuneConfig, search
from ghn.initializers import create

RATES = (3e-3, 1e-3, 3e-4)
STARTS = {
    "random": "default+statistics",
    "ghn": "ghn:ghn3-t-cifar10-wide+statistics",
    "selected": "weight-selection:{source}+statistics",
    "selected, noise": "weight-selection:{source}+noise:0.3rel+statistics",
}
COLUMNS = {"network": "", "start": "", "at_once": ".1f", "tenth": ".1f", "all": ".1f", "rate": "g", "seconds": ".1f"}


def resnet(num_classes: int = 10) -> nn.Module:
    """The source: one basic block a stage, half as wide as ResNet-18."""
    sizes = (32, 64, 128, 256)
    return ResNet(BasicBlock, (1, 1, 1, 1), channels=sizes, num_classes=num_classes)  # type: ignore[arg-type]


def densenet() -> nn.Module:
    """Concatenates features; normalises before each convolution."""
    return DenseNet(growth_rate=16, block_config=(2, 3, 3, 2), num_init_features=32, bn_size=2, num_classes=10)


def mobilenet() -> nn.Module:
    """Depthwise convolutions between wide and narrow layers."""
    setting = [[1, 16, 1, 2], [4, 24, 2, 2], [4, 48, 2, 1], [4, 96, 1, 2]]
    return MobileNetV2(num_classes=10, inverted_residual_setting=setting)


def vit() -> nn.Module:
    """Attention, no convolution but that of patches."""
    sizes = {"num_layers": 3, "num_heads": 4, "hidden_dim": 64, "mlp_dim": 128}
    return VisionTransformer(image_size=32, patch_size=8, num_classes=10, **sizes)


def thin() -> nn.Module:
    """The source's own family, a quarter of its parameters: where the published rule applies."""
    return ResNet(BasicBlock, (1, 1, 1, 1), channels=(16, 32, 64, 128), num_classes=10)  # type: ignore[arg-type]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "densenet": densenet,
    "mobilenet": mobilenet,
    "vit": vit,
    "thin": thin,
}


class Measurement:
    """Data, and trainings on them.

    Args:
        data_root: Folder of CIFAR-10.
        test_images: For each accuracy.
    """

    def __init__(self, data_root: Path | None, test_images: int) -> None:
        training, held_out = load("cifar10", root=data_root).hold_out(5000)
        self.training = ImageStream(training, batch_size=64, augmentation=Augmentation())
        self.held_out = ImageStream(held_out, batch_size=64, seed=7)
        self.test = ImageStream(load("cifar10", root=data_root, split="test"), batch_size=64, seed=1)
        self.shown = sample_batches("cifar10", 512, root=data_root)
        self.test_images = test_images

    def accuracy(self, network: nn.Module, stream: ImageStream, images: int) -> float:
        """Share of right answers in evaluation mode, in percent."""
        result = score(network.eval(), stream, images=images).top1
        network.train()
        return 100 * result

    def train(self, network: nn.Module, steps: int, rates: tuple[float, ...]) -> float:
        """AdamW, cosine schedule; returns the best rate."""
        config = FinetuneConfig(steps=steps, learning_rates=rates, optimizer="adamw", noise=0.0, weight_decay=0.01)
        judge = lambda trained: self.accuracy(trained, self.held_out, 1024)  # noqa: E731
        return search(network, self.training, judge, config).learning_rate

    def row(self, name: str, chain: str, steps: int, seed: int) -> dict[str, Any]:
        """All accuracies of one network from one start."""
        torch.manual_seed(seed)
        network = NETWORKS[name]()
        report = create(chain)(network, self.shown, seed=seed)
        began, given = time.perf_counter(), {key: value.clone() for key, value in network.state_dict().items()}
        row: dict[str, Any] = {"at_once": self.accuracy(network, self.test, self.test_images)}
        row["rate"] = self.train(network, steps // 10, RATES)
        row["tenth"] = self.accuracy(network, self.test, self.test_images)
        network.load_state_dict(given)
        self.train(network, steps, (row["rate"],))
        row["all"] = self.accuracy(network, self.test, self.test_images)
        return row | {"seconds": report.seconds, "training_seconds": time.perf_counter() - began}


def trained_source(measurement: Measurement, file: Path, steps: int) -> float:
    """Train the ResNet unless the file is there; returns its accuracy."""
    torch.manual_seed(0)
    network = resnet()
    if file.exists():
        create(str(file))(network)
    else:
        measurement.train(network, steps, (1e-3,))
        torch.save(network.state_dict(), file)
    return measurement.accuracy(network, measurement.test, measurement.test_images)


def main() -> None:
    """Measure start by start; what is finished is kept in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for what is finished")
    parser.add_argument("--data-root", type=Path, default=None)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--source-steps", type=int, default=1500)
    parser.add_argument("--test-images", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    measurement = Measurement(options.data_root, options.test_images)
    file, log = options.work / f"resnet-{options.source_steps}.pt", options.work / "rows.json"
    accuracy = trained_source(measurement, file, options.source_steps)
    print(f"source: {accuracy:.1f} %", flush=True)
    source = f"{Path(__file__)}:resnet@{file}"
    done: dict[str, Any] = json.loads(log.read_text()) if log.exists() else {}
    rows = []
    for start in options.starts:
        for name in options.networks:
            key = f"{name} {start} {options.steps} {options.source_steps} {options.seed}"
            if key not in done:
                chain = STARTS[start].format(source=source)
                done[key] = measurement.row(name, chain, options.steps, options.seed)
                write_text(log, json.dumps(done, indent=1) + "\n")
            rows.append({"network": name, "start": start, **done[key]})
            print(rows[-1], flush=True)
    rows.sort(key=lambda row: options.networks.index(row["network"]))
    extra = {"source_accuracy": accuracy, "steps": options.steps, "source_steps": options.source_steps}
    table = f"The source, a ResNet: {accuracy:.1f} %.\n\n{markdown(rows, COLUMNS)}"
    save("weight_selection", rows, table=table, extra={**extra, "seed": options.seed})


if __name__ == "__main__":
    main()
