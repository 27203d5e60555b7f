"""A network trained from a start with one seed: what `ghn compare` computes for one start and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ghn.common.optional import require
from ghn.comparison.cell import CellResult, Task
from ghn.comparison.config import CompareConfig
from ghn.comparison.run import build_by_name
from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.experiments.kinds.starts import files_of_start, with_folders
from ghn.finetuning import FinetuneConfig
from ghn.finetuning.images import Data, open_data
from ghn.training.state import load_state

WEIGHTS = "network.safetensors"
"""What a cell that keeps its network leaves of it."""


def task_of(job: Job) -> tuple[Task, str]:
    """The training that a cell's settings ask for, and its start.

    The settings are `model` (as `ghn predict` takes it), `init` (a chain of initialisers, where `{name}` stands for the
    folder of a cell that is needed) and `training` (fields of `FinetuneConfig`).
    """
    settings = job.settings
    training = FinetuneConfig.from_dict({**settings["training"], "data_root": job.data_root})
    init = with_folders(settings["init"], job.needs)
    data = _opened(training.data, job.data_root, training.image_size)
    training = replace(training, image_size=data.image_size)
    config = CompareConfig(model=settings["model"], inits=(init,), seeds=job.seed + 1, training=training)
    return Task(config=config, folder=job.work, build=build_by_name, data=data, device=job.device), init


def _run(job: Job) -> Found:
    task, init = task_of(job)
    result = task.run(init, job.seed)
    if result.error is not None:
        raise ValueError(result.error)
    return _found(result)


def _run_and_keep(job: Job) -> Found:
    found = _run(job)
    _keep(job, found.value["learning_rate"])
    return found


def _keep(job: Job, rate: float) -> None:
    """Save the trained network, of the best learning rate, without what belongs to its training."""
    save_file = require("safetensors.torch", "train", "saving a network").save_file
    (folder,) = job.work.glob(f"**/rate-{float(rate)!r}")
    state = load_state(folder, keys=("network",))
    assert state is not None, "a training that has ended leaves its state"
    job.output.mkdir(parents=True)
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state["network"].items()}
    save_file(tensors, job.output / WEIGHTS)


def _found(result: CellResult) -> Found:
    return Found(
        value={
            "steps": list(result.steps),
            "accuracies": list(result.accuracies),
            "learning_rate": result.learning_rate,
            "scores": dict(result.scores),
        },
        times={"initialisation": result.cost, "step": result.step_seconds},
    )


@lru_cache(maxsize=2)
def _opened(name: str, root: str | None, image_size: int | None) -> Data:
    """Images, once a process."""
    return open_data(name, FinetuneConfig(data=name, data_root=root, image_size=image_size))


def _inputs(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return files_of_start(settings["init"])


KIND = Kind(version=1, run=_run, inputs=_inputs)
KEEPING = Kind(version=1, run=_run_and_keep, inputs=_inputs, makes_files=True)
"""As `KIND`; cells that need it find the network in its folder as `WEIGHTS`."""
