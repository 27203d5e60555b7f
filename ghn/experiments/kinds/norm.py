"""The total norm of a network's parameters after a start, and of its loss's gradient there (figure 5)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from ghn.common.modules import named_parameters
from ghn.data.sample import sample_batches
from ghn.evaluate.accuracy import scores_of, use_batch_statistics
from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.experiments.kinds.starts import files_of_start, with_folders
from ghn.initializers import create
from ghn.zoo import ModelRequest, build_model


def _run(job: Job) -> Found:
    """The settings are `model`, `init`, `data`, `image_size`, `num_classes`, `images` (in a batch)."""
    settings = job.settings
    root = None if job.data_root is None else Path(job.data_root)
    size = settings["image_size"]
    batches = sample_batches(settings["data"], settings["images"], root=root, image_size=size, seed=job.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        request = ModelRequest(name=settings["model"], num_classes=settings["num_classes"], image_size=size)
        model = copy.deepcopy(build_model(request).model)
    create(with_folders(settings["init"], job.needs))(model, batches, seed=job.seed)
    use_batch_statistics(model)
    model.eval()
    images, labels = batches[0]
    functional.cross_entropy(scores_of(model(images)), labels).backward()
    parameters = named_parameters(model).values()
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return Found(value={"parameters": _norm(list(parameters)), "gradient": _norm(gradients)})


def _norm(tensors: list[Any]) -> float:
    """Of all elements together: sqrt(Σ ‖w‖²)."""
    return float(torch.stack([tensor.detach().double().square().sum() for tensor in tensors]).sum().sqrt())


def _inputs(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return files_of_start(settings["init"])


KIND = Kind(version=1, run=_run, inputs=_inputs)
