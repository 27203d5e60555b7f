"""How large a hypernetwork is (table 1)."""

from __future__ import annotations

import torch

from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.hypernet import GHN, GHNConfig


def _run(job: Job) -> Found:
    """The settings are `hypernet`, fields of `GHNConfig`."""
    config = GHNConfig.from_dict(job.settings["hypernet"])
    with torch.device("meta"):
        hypernet = GHN(config)
    count = sum(parameter.numel() for parameter in hypernet.parameters())
    return Found(value={"layers": config.layers, "hidden": config.hidden, "heads": config.heads, "parameters": count})


KIND = Kind(version=1, run=_run)
