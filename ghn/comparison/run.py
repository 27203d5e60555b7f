"""A comparison: all its trainings, in this process or in several, in a folder that keeps what is done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from ghn.common.files import write_text
from ghn.common.progress import Bar, Part
from ghn.common.text import one_line
from ghn.common.untrusted.json_text import read_json
from ghn.comparison.cell import CellResult, Task
from ghn.comparison.config import CompareConfig
from ghn.comparison.result import Comparison
from ghn.comparison.told import watched
from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.images import Labelled, open_data
from ghn.training.signals import StoppedError
from ghn.training.state import StateError, locked
from ghn.training.workers.pool import Pool, WorkerKilledError
from ghn.zoo import ModelRequest, build_model

CONFIG, RESULT = "comparison.json", "result.json"

MOST_OF_A_CONFIG = 1 << 20
"""Bytes."""

Build = Callable[[CompareConfig, int], nn.Module]
Progress = Callable[[CellResult, int, int], None]


def compare(
    config: CompareConfig,
    folder: str | os.PathLike[str] | None = None,
    *,
    data: tuple[Labelled, Labelled] | None = None,
    build: Build | None = None,
    workers: int = 1,
    device: str | None = None,
    quiet: bool = True,
    progress: Progress | None = None,
    bar: Bar | None = None,
) -> Comparison:
    """Train a model from each of several starts, with equal budget and equal tuning, over several seeds.

    Args:
        config: What is compared.
        folder: Where all is kept; the same call goes on after it was stopped or killed, and more starts or seeds use
            what is there. None keeps nothing.
        data: Training and test images instead of those that `config.training.data` names.
        build: Makes the model from the config and a number of classes instead of `config.model`'s name; a function of
            a module, if there are several workers.
        workers: Processes that train at the same time, each with its share of the processor's threads.
        device: "cpu", "cuda" or "cuda:N", where models are trained; None for where they are built.
        quiet: No progress bar.
        progress: Called after each training with its result, how many are done, and how many there are.
        bar: Shows the progress, whatever `quiet` says; one that the caller has on the terminal already.

    Returns:
        The results. A start that cannot be made, or diverges with every learning rate, has its reason there.

    Raises:
        ValueError: When no start gave any result, there is no such model or start, or fewer than one worker.
        DataError: When images are missing or damaged.
        StateError: When another process uses the folder.
        StoppedError: When it was asked to stop; what was done is kept, and `partial` holds the results so far.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if data is None and Path(config.training.data).is_dir():
        # A folder is the same with a slash behind it.
        config = replace(config, training=replace(config.training, data=str(Path(config.training.data))))
    images = open_data(config.training.data if data is None else data, config.training)
    if build is None:
        # Some models are built for a size.
        config = replace(config, training=replace(config.training, image_size=images.image_size))
        # Whether there is such a model is found out before anything is trained, and without numbers.
        build_model(_request(config, len(images.classes), meta=True))
    with _home(folder) as home, locked(home):
        _check_same_comparison(config, home)
        write_text(home / CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")
        task = Task(config=config, folder=home, build=build or build_by_name, data=images, device=device)
        with nullcontext(bar) if bar is not None else Bar(quiet=quiet) as shown:
            results = _all_cells(task, workers, shown, progress)
        found = Comparison(config=config, cells=results)
        write_text(home / RESULT, json.dumps(found.to_dict(), indent=1) + "\n")
    if all(cell.error is not None for cell in results):
        raise ValueError(f"no start gave a result; {results[0].init}: {results[0].error}")
    return found


class InterruptedComparisonError(StoppedError):
    """As `StoppedError`, with the results so far.

    Attributes:
        partial: These.
    """

    def __init__(self, text: str, partial: Comparison) -> None:
        super().__init__(text)
        self.partial = partial


def build_by_name(config: CompareConfig, classes: int) -> nn.Module:
    """The model that the config names, with its own initialisation by the current random state."""
    return build_model(_request(config, classes)).model


def _request(config: CompareConfig, classes: int, *, meta: bool = False) -> ModelRequest:
    return ModelRequest(name=config.model, num_classes=classes, image_size=config.training.image_size, meta=meta)


def _check_same_comparison(config: CompareConfig, home: Path) -> None:
    """Refuse a folder of other trainings, before anything in it is touched.

    Raises:
        StateError: If it holds a comparison that differs in more than starts and seeds, or none that can be read.
    """
    file = home / CONFIG
    if not file.exists():
        return
    now = {"model": config.model, **config.training.identity()}
    try:
        before = read_json(file, MOST_OF_A_CONFIG)
        # What an earlier version did not know has its default.
        then = {"model": before["model"], **FinetuneConfig().to_dict(), **before["training"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StateError(f"{file} cannot be read ({one_line(str(error))}); take another folder") from error
    for name, value in json.loads(json.dumps(now)).items():
        if then.get(name) != value:
            raise StateError(
                f"{home} holds a comparison with {name} {then.get(name)}, not {value}; take another folder"
            )


@contextmanager
def _home(folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    with TemporaryDirectory() if folder is None else nullcontext(folder) as home:
        Path(home).mkdir(parents=True, exist_ok=True)
        yield Path(home)


def _all_cells(task: Task, workers: int, bar: Bar, progress: Progress | None) -> tuple[CellResult, ...]:
    """Seed by seed, so that what is stopped has results of all starts."""
    config = task.config
    places = [(init, seed) for seed in range(config.seeds) for init in config.inits]
    done: dict[tuple[str, int], CellResult] = {}

    def add(result: CellResult) -> None:
        done[result.init, result.seed] = result
        bar.advance(f"{result.init}, seed {result.seed}")
        if progress is not None:
            progress(result, len(done), len(places))

    bar.begin(len(places), f"{config.model} on {config.training.data}")
    for place in places:
        if (saved := task.finished(*place)) is not None:
            add(saved)
    left = [place for place in places if place not in done]
    try:
        if workers == 1 or len(left) < 2:
            for init, seed in left:
                add(task.run(init, seed, bar=Part(bar, f"{init}, seed {seed}")))
        else:
            with watched(task.folder, left, done, bar):
                _in_processes(replace(task, tells=True), min(workers, len(left)), left, add)
    except (StoppedError, KeyboardInterrupt) as error:
        partial = Comparison(config=config, cells=_ordered(config, done))
        text = f"stopped after {len(done)} of {len(places)} trainings; the same command goes on"
        raise InterruptedComparisonError(text, partial) from error
    return _ordered(config, done)


def _ordered(config: CompareConfig, done: dict[tuple[str, int], CellResult]) -> tuple[CellResult, ...]:
    places = [(init, seed) for init in config.inits for seed in range(config.seeds)]
    return tuple(done[place] for place in places if place in done)


def _in_processes(task: Task, workers: int, left: list[tuple[str, int]], add: Callable[[CellResult], None]) -> None:
    try:
        with Pool(workers, task, threads=max(1, torch.get_num_threads() // workers)) as pool:
            for result in pool.unordered(Task.run, left):
                add(result)
    except WorkerKilledError as error:
        raise RuntimeError("a process that trained was killed; the same command goes on with what was done") from error
