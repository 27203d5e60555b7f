"""A detector whose backbone is from a start, trained on Penn-Fudan (table 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.experiments.kinds.starts import files_of_start, with_folders
from ghn.finetuning.detection.config import DetectionConfig
from ghn.finetuning.detection.run import train_detector


def _run(job: Job) -> Found:
    """The settings are `init` and `training`, fields of `DetectionConfig`."""
    settings = job.settings
    config = DetectionConfig.from_dict(
        {
            **settings["training"],
            "init": with_folders(settings["init"], job.needs),
            "seed": job.seed,
            "data_root": job.data_root,
        }
    )
    found = train_detector(config, job.work, device=job.device)
    return Found(
        value={"average_precision": found.average_precision, "steps": found.steps},
        times={"initialisation": found.seconds},
    )


def _inputs(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return files_of_start(settings["init"])


KIND = Kind(version=1, run=_run, inputs=_inputs)
