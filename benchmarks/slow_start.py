"""Why a fresh GHN-3 learns nothing for long: what it predicts at step 0 and along the way, and what that depends on.

    python -m benchmarks.slow_start --steps 200 --seeds 0 1 2
    python -m benchmarks.slow_start --variants published variance --rates 2e-3 4e-4 --folder runs/slow

A small stand-in for a training: the same few small networks of DeepNets-1M in every step, on CIFAR-10 (or digits).
Variants of one seed see the same networks and images. Every variant is a row:

- weights: root mean square of predicted convolution kernels, over what sqrt(2 / fan_in) asks for
- alike: mean cosine between the 3×3 kernels of different layers (1: all layers get the same)
- moved: how far the first step moves the predicted kernels, over their norm, were it made at the peak rate
- share: of the gradient's norm, by part of the hypernetwork, at step 0
- plateau: first step at which the mean loss of the last 20 steps is under `--leaves`; empty if it never is
- accuracy: mean over the last 20 steps, training images

With `--folder`, runs that are there already are not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common import markdown, save
from ghn.hypernet import GHNConfig
from ghn.meta.config import MetaTrainingConfig, Space
from ghn.meta.images import open_images, training_images
from ghn.meta.initial import set_initial_scale
from ghn.meta.run import make_targets, meta_batches
from ghn.meta.stepper import MetaWork, meta_trainer
from ghn.meta.targets import Target
from ghn.model import GHN
from ghn.training.ranks import Ranks

WINDOW = 20
NOTED = (0, 1, 5, 20, 50, 100, 200, 400, 800)
"""Steps at which predictions are looked at."""

COLUMNS = {"variant": "", "rate": "g", "seed": "d", "weights": ".3f", "alike": ".2f", "moved": ".2f"}
COLUMNS |= {"alike_after": ".2f", "loss": ".3f", "accuracy": ".3f", "plateau": "d"}


def config_of(options: argparse.Namespace, seed: int, rate: float) -> MetaTrainingConfig:
    """The stand-in's configuration."""
    return MetaTrainingConfig(
        hypernet=GHNConfig.preset(options.preset, num_classes=10),
        data=options.data,
        space=Space(max_megamacs=options.megamacs, max_cells=5, attention=0.0),
        meta_batch=options.networks,
        images=options.images,
        shared_images=False,
        steps=options.length,
        learning_rate=rate,
        betas=(0.9, 0.99),
        warmup=0.03,
        clip=1.0,
        penalty=3e-5,
        seed=seed,
    )


@cache
def _images(name: str) -> Any:
    return training_images(MetaTrainingConfig(data=name))


def images_of(config: MetaTrainingConfig) -> Any:
    """The training images, opened once for all runs."""
    return _images(config.data)


def kernels_of(weights: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
    """All predicted 4-D kernels."""
    return [tensor.detach() for found in weights for tensor in found.values() if tensor.dim() == 4]


def weight_scale(kernels: Sequence[Tensor]) -> float:
    """Root mean square over sqrt(2 / fan_in), the median over kernels with more than one input channel."""
    return statistics.median(
        float(kernel.square().mean().sqrt()) / (2 / kernel[0].numel()) ** 0.5
        for kernel in kernels
        if kernel.shape[1] > 1
    )


def likeness(kernels: Sequence[Tensor]) -> float:
    """Mean cosine between the first channels of different 3×3 (or else 1×1) kernels."""
    for side in (3, 1):
        flat = [k[:8, :8].flatten() for k in kernels if k.shape[2:] == (side, side) and min(k.shape[:2]) >= 8]
        if len(flat) > 1:
            stacked = functional.normalize(torch.stack(flat), dim=1)
            cosines = stacked @ stacked.t()
            return float((cosines.sum() - len(flat)) / (len(flat) * (len(flat) - 1)))
    return float("nan")


def gradient_shares(hypernet: GHN) -> dict[str, float]:
    """Norm of the gradient of each part, over that of all."""
    squares: dict[str, float] = {}
    for name, parameter in hypernet.named_parameters():
        words = name.split(".")
        part = ".".join(words[:3]) if words[0] in ("decoder", "decoder_1d") else words[0]
        if parameter.grad is not None:
            squares[part] = squares.get(part, 0.0) + float(parameter.grad.square().sum())
    total = sum(squares.values()) or 1.0
    return {part: (square / total) ** 0.5 for part, square in squares.items()}


def run(options: argparse.Namespace, variant: str, rate: float, seed: int) -> dict[str, Any]:
    """Train one variant and look at it."""
    config = config_of(options, seed, rate)
    ranks = Ranks()
    images = open_images(config, ranks, images_of(config))
    torch.manual_seed(seed)
    hypernet = GHN(config.hypernet)
    set_initial_scale(hypernet, variant)  # type: ignore[arg-type]
    trainer = meta_trainer(config, hypernet.train(), ranks)
    drawn = meta_batches(config, config.space)[0]
    targets: list[Target] = make_targets(drawn, config, ranks.device)

    def predicted() -> list[Tensor]:
        with torch.no_grad():
            return kernels_of(hypernet([target.graph for target in targets]))

    before = predicted()
    row: dict[str, Any] = {"variant": variant, "rate": rate, "seed": seed, "along": [], "losses": [], "accuracies": []}
    row |= {"weights": weight_scale(before), "alike": likeness(before)}
    for step in range(options.steps):
        m = config.meta_batch
        batches = [images.train.batch(step * m + slot) for slot in range(m)]
        report = trainer.step(MetaWork(targets=targets, batches=batches))
        row["losses"].append(report.loss)
        row["accuracies"].append(report.means["accuracy"])
        if step == 0:
            row["shares"] = gradient_shares(hypernet)
        if step + 1 in NOTED or step < 2:
            now = predicted()
            # The schedule begins at rate 0, so that the second step is the first to move anything.
            if step == 1:
                moved = [float((a - b).norm() / b.norm()) for a, b in zip(now, before, strict=True)]
                row["moved"] = statistics.median(moved) * rate / report.learning_rate
            found = {"weights": weight_scale(now), "alike": likeness(now), "gradient": report.gradient_norm}
            row["along"].append({"step": step + 1, **found})
    means = [statistics.fmean(row["losses"][end - WINDOW : end]) for end in range(WINDOW, options.steps + 1)]
    row["plateau"] = next((WINDOW + index for index, mean in enumerate(means) if mean < options.leaves), None)
    row["loss"], row["accuracy"] = means[-1], statistics.fmean(row["accuracies"][-WINDOW:])
    row["alike_after"] = row["along"][-1]["alike"]
    return row


def main() -> None:
    """Run what is missing, and save the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--preset", default="ghn3-t")
    parser.add_argument("--variants", nargs="+", default=["published", "variance"])
    parser.add_argument("--rates", nargs="+", type=float, default=[2e-3])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=200, help="steps that are made")
    parser.add_argument("--length", type=int, default=2000, help="steps that the schedule is for")
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--megamacs", type=float, default=20.0, help="largest network")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--leaves", type=float, default=2.1, help="loss under which the plateau is left")
    parser.add_argument("--folder", type=Path, default=Path("runs/slow_start"))
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        for rate in options.rates:
            for variant in options.variants:
                file = (
                    options.folder / f"{options.preset}-{variant}-{rate:g}-{seed}-{options.steps}-{options.data}.json"
                )
                if not file.exists():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(json.dumps(run(options, variant, rate, seed)))
                rows.append(json.loads(file.read_text()))
                print(markdown(rows[-1:], COLUMNS).splitlines()[-1], flush=True)
    table = markdown(rows, COLUMNS)
    print(table)
    if not options.no_save:
        print(save("slow_start", rows, table=table, extra={"options": {k: str(v) for k, v in vars(options).items()}}))


if __name__ == "__main__":
    main()
