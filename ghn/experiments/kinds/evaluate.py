"""One network from one start on test images, without any training: what `ghn evaluate` computes for each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch

from ghn.data import DATA_SETS, ImageSet, load
from ghn.evaluate import EvaluationConfig, evaluate
from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.experiments.kinds.starts import files_of_start, with_folders
from ghn.training.ranks import Ranks


def _run(job: Job) -> Found:
    settings = job.settings
    config = EvaluationConfig.from_dict(
        {
            **settings["evaluation"],
            "splits": {},
            "predefined": False,
            "models": [settings["model"]],
            "starts": [with_folders(settings["init"], job.needs)],
            "seed": job.seed,
            "data_root": job.data_root,
        }
    )
    images = _test_images(config.data, job.data_root) if config.data in DATA_SETS else None
    (result,) = evaluate(None, config, images=images, ranks=Ranks(device=torch.device(job.device))).networks
    if result.error is not None:
        raise ValueError(result.error)
    value = {"top1": result.top1, "top5": result.top5, "loss": result.loss, "images": result.images}
    shape = {"parameters": result.parameters, "nodes": result.nodes}
    return Found(value={**value, **shape}, times={"initialisation": result.seconds, "scoring": result.scoring_seconds})


@lru_cache(maxsize=2)
def _test_images(name: str, root: str | None) -> ImageSet:
    """Images, once a process."""
    return load(name, root=root, split="test")


def _inputs(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return files_of_start(settings["init"])


KIND = Kind(version=1, run=_run, inputs=_inputs)
