"""What a meta-training is best for: three objectives at equal cost, and how good a start their predictions are.

    python -m benchmarks.objectives --steps 60 --seeds 0 1 2 --folder runs/objectives

From the same hypernetwork (`--start-from`), same networks and images in every step: eq. 10 alone; eq. 10 mixed
with the loss after `--inner-steps` steps of SGD (a step's images are split, so that it costs the same); eq. 10 with
noise on predicted weights. `before` is the hypernetwork that all start from. Accuracies are those of held-out small
networks on held-out images: at once, and after `--adapt-steps` steps of SGD at the best of two learning rates, which
`random` is for the networks' own initialisation. Runs that are in the folder already are not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save
from ghn.meta.config import MetaTrainingConfig, Space
from ghn.meta.images import training_images
from ghn.meta.run import train
from ghn.model import from_pretrained

COLUMNS = {"objective": "", "seeds": "d", "at_once": ".3f", "at_once_std": ".3f", "after": ".3f", "after_std": ".3f"}
COLUMNS |= {"random": ".3f", "seconds": ".0f"}


def variants(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What each changes; `before` makes one step at next to no rate."""
    return {
        "before": {"learning_rate": 1e-12, "steps": 1, "validate_every": 1, "weight_decay": 0.0},
        "eq. 10": {},
        "inner steps": {"inner_steps": options.inner_steps, "inner_rate": options.inner_rate},
        "noise": {"weight_noise": options.noise},
    }


def config_of(options: argparse.Namespace, seed: int) -> MetaTrainingConfig:
    """What all variants have in common."""
    return MetaTrainingConfig(
        hypernet=from_pretrained(options.start_from).config,
        start_from=options.start_from,
        data=options.data,
        hold_out=5000 if options.data != "digits" else 300,
        space=Space(max_megamacs=options.megamacs, max_cells=5, attention=0.0),
        meta_batch=options.networks,
        images=options.images,
        shared_images=False,
        steps=options.steps,
        learning_rate=options.rate,
        betas=(0.9, 0.99),
        warmup=0.1,
        clip=1.0,
        validate_every=options.steps,
        validation_networks=options.validation_networks,
        adapt_steps=options.adapt_steps,
        adapt_rates=(0.01, 0.1),
        seed=seed,
    )


def last_validation(folder: Path) -> dict[str, float]:
    """The last values that a run's log has."""
    values: dict[str, float] = {}
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        values |= json.loads(line)
    return values


def summary(name: str, found: list[dict[str, float]]) -> dict[str, Any]:
    """One row over seeds."""
    at_once, after = ([values[key] for values in found] for key in ("validation_accuracy", "adapted_accuracy"))
    return {
        "objective": name,
        "seeds": len(found),
        "at_once": statistics.fmean(at_once),
        "at_once_std": statistics.pstdev(at_once),
        "after": statistics.fmean(after),
        "after_std": statistics.pstdev(after),
        "random": statistics.fmean(values["adapted_accuracy_random"] for values in found),
        "seconds": statistics.fmean(values.get("elapsed", 0.0) for values in found),
        "runs": found,
    }


def main() -> None:
    """Train what is missing, and save the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--start-from", default="ghn3-t-cifar10")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--megamacs", type=float, default=20.0, help="largest network")
    parser.add_argument("--inner-steps", type=int, default=3)
    parser.add_argument("--inner-rate", type=float, default=0.05)
    parser.add_argument("--noise", type=float, default=0.2)
    parser.add_argument("--adapt-steps", type=int, default=24)
    parser.add_argument("--validation-networks", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    images = training_images(config_of(options, 0))
    rows = []
    for name, changes in variants(options).items():
        found = []
        for seed in options.seeds:
            config = replace(config_of(options, seed), **changes)
            folder = options.folder / f"{name.replace(' ', '')}-{seed}"
            train(config, folder, device="cpu", quiet=True, images=images)
            found.append(last_validation(folder))
        rows.append(summary(name, found))
        print(markdown(rows[-1:], COLUMNS).splitlines()[-1], flush=True)
    table = markdown(rows, COLUMNS)
    if not options.no_save:
        print(save("objectives", rows, table=table, extra={"options": {k: str(v) for k, v in vars(options).items()}}))


if __name__ == "__main__":
    main()
