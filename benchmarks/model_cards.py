"""What the cards of shipped hypernetworks state of networks that they never saw, beside calibrated random starts.

    python -m benchmarks.model_cards --data-root CIFAR10 --folder runs/cards
    python -m benchmarks.model_cards --data-root CIFAR10 --scale 0

100 networks of the test split, 20 of each other one, ResNet-50, a vision transformer, and twelve architectures of
torchvision and timm, on CIFAR-10's test images, running statistics. Every start is calibrated on the same training
images: batch-norm statistics, and the head solved by ridge regression. With `--folder` it goes on where it was ended.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save
from ghn.evaluate import EvaluationConfig, NetworkResult, evaluate
from ghn.evaluate.config import DEFAULT_SPLITS

HYPERNETWORKS = ("ghn3-t-cifar10", "ghn3-t-cifar10-wide")

MODELS: tuple[str, ...] = ("resnet18", "densenet121", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0")
MODELS += ("regnet_y_400mf", "shufflenet_v2_x1_0", "squeezenet1_1", "vgg11_bn")
MODELS += ("timm:convnext_atto", "timm:dla34", "timm:vit_tiny_patch16_224")
"""None of them is among the networks of DeepNets-1M, of which the hypernetworks were trained."""


def config_of(options: argparse.Namespace, *, models: bool) -> EvaluationConfig:
    """The twelve models, or the networks of the splits."""
    starts = ("default", *(f"ghn:{name}" for name in HYPERNETWORKS))
    return EvaluationConfig(
        data_root=None if options.data_root is None else str(options.data_root),
        splits={} if models else {name: max(1, round(count * options.scale)) for name, count in DEFAULT_SPLITS.items()},
        predefined=not models,
        models=MODELS if models else (),
        starts=tuple(f"{start}+calibrate" for start in starts),
        calibration_images=options.calibration_images,
        batch_norm="running",
        images=options.test_images,
    )


def summary(networks: list[NetworkResult]) -> list[dict[str, Any]]:
    """A row for each split and model, and one for all models: mean and deviation of the starts' accuracies in %."""
    found: dict[str, dict[str, list[float]]] = {}
    for network in networks:
        groups = [network.split, *([f"{len(MODELS)} architectures"] if network.kind == "model" else [])]
        for group in groups:
            found.setdefault(group, {}).setdefault(network.start.removesuffix("+calibrate"), []).append(network.top1)
    rows = []
    for group, starts in found.items():
        row: dict[str, Any] = {"networks": group, "number": max(map(len, starts.values()))}
        for start, all_shares in starts.items():
            shares = [100 * share for share in all_shares if not math.isnan(share)]
            several = f" ± {statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
            row[start] = f"{statistics.fmean(shares):.1f}{several}" if shares else "–"
            if len(shares) < len(all_shares):
                row[start] += f" ({len(shares)} of {len(all_shares)})"
        ahead = [
            sum(ours > theirs for ours, theirs in zip(starts[start], starts["default"], strict=True))
            for start in list(starts)[1:]
        ]
        row["ahead of random"] = " and ".join(map(str, ahead))
        rows.append(row)
    return rows


def main() -> None:
    """Evaluate, print the table, and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--folder", type=Path, help="keeps what is done")
    parser.add_argument("--calibration-images", type=int, default=512)
    parser.add_argument("--test-images", type=int, default=256, help="for each network")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the networks of each split; 0: the architectures"
    )
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    networks: list[NetworkResult] = []
    for models in (True, False) if options.scale else (True,):
        folder = None if options.folder is None else options.folder / ("models" if models else "splits")
        networks += evaluate(None, config_of(options, models=models), folder=folder, progress=_say).networks
    rows = summary(networks)
    table = markdown(rows, dict.fromkeys(rows[0], ""))
    print(table)
    if not options.no_save:
        print(save("model_cards", rows, table=table, extra={"networks": [network.to_dict() for network in networks]}))


def _say(result: NetworkResult) -> None:
    print(f"{result.model} {result.start}: {100 * result.top1:.1f} %", flush=True)


if __name__ == "__main__":
    main()
