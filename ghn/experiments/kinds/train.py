"""A hypernetwork that is trained: what `ghn train` does. Cells that need it find the hypernetwork in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from ghn.checkpoint.images import COUNT
from ghn.data import ImageSet
from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.export import export
from ghn.meta.images import training_images
from ghn.meta.run import train
from ghn.training.logbook import FILE as LOG
from ghn.training.signals import StoppedError

LAST = 0.1
"""Share of the lines of the log at its end that losses are averaged over."""


def _run(job: Job) -> Found:
    """The settings are `config`, fields of `MetaTrainingConfig`."""
    values = {**job.settings["config"], "seed": job.seed, "data_root": job.data_root}
    config = MetaTrainingConfig.from_dict(values)
    images = training_images(config)
    trainer = train(config, job.work, device=job.device, quiet=True, images=images)
    if trainer.progress < 1:
        raise StoppedError(f"stopped after step {trainer.step_count:,}")
    brought = images.few_shot(min(COUNT, len(images))) if isinstance(images, ImageSet) else None
    export(job.work, job.output, images=brought)
    lines = _lines(job.work)
    losses = [line["loss"] for line in lines if line.get("loss") is not None]
    seconds = [sum(v for k, v in line.items() if k.startswith("seconds_") and v) for line in lines if "loss" in line]
    validated = [line["validation_accuracy"] for line in lines if line.get("validation_accuracy") is not None]
    return Found(
        value={
            "steps": trainer.step_count,
            "loss": fmean(losses[-max(1, round(LAST * len(losses))) :]) if losses else None,
            "validation_accuracy": validated[-1] if validated else None,
            "parameters": sum(parameter.numel() for parameter in trainer.stepper.module.parameters()),
        },
        times={"step": fmean(seconds) if seconds else 0.0},
    )


def _lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a training's log."""
    file = folder / LOG
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


KIND = Kind(version=1, run=_run, makes_files=True)
