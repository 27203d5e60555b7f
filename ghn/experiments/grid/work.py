"""One cell computed, in whatever process: with a folder that outlasts kills, and its outcome as plain data."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghn.common.files import write_text
from ghn.common.text import one_line, said, without_nan
from ghn.common.untrusted.json_text import read_json
from ghn.data.errors import DataError
from ghn.experiments.grid.cell import Found, Job, kind_named
from ghn.experiments.grid.place import Place
from ghn.training.signals import StoppedError
from ghn.training.state import StateError, locked

OUTCOME = "outcome.json"

MOST_OF_AN_OUTCOME = 64 << 20
"""Bytes."""

WORTH_KEEPING = 1.0
"""Seconds of computing from which on an outcome is kept also before its driver has it."""

PATIENCE = 30.0
"""Seconds that a process of a killed driver may take to end."""

LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Task:
    """A cell as it is sent to a process.

    Attributes:
        digest: The cell's.
        kind: The cell's.
        settings: The cell's.
        seed: The cell's.
        needs: Digests of the cells whose files it reads, by name.
        place: Where results are kept.
        device: "cpu" or "cuda".
        data_root: Folder that holds data sets.
        threads: Of PyTorch; None leaves them.
    """

    digest: str
    kind: str
    settings: Mapping[str, Any]
    seed: int
    needs: Mapping[str, str]
    place: Place
    device: str = "cpu"
    data_root: str | None = None
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        digest: The cell's.
        value: What was found; None where there is an error.
        times: Seconds by part, and `total`.
        error: Why there is nothing.
        fatal: Whether other cells would fail alike, as without the images.
        stopped: Whether it was told to stop.
        lost: A cell that it needs, of which the files are not there.
    """

    digest: str
    value: Mapping[str, Any] | None = None
    times: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    fatal: bool = False
    stopped: bool = False
    lost: str | None = None


class LostFilesError(StateError):
    """What a finished cell made is not there.

    Attributes:
        digest: The cell's.
    """

    def __init__(self, text: str, digest: str) -> None:
        super().__init__(text)
        self.digest = digest


def compute(task: Task, *, exits: bool = False) -> Outcome:
    """Compute a cell, go on with one that was begun, or give the outcome of one that was ended but not stored.

    Args:
        task: The cell.
        exits: Whether SystemExit is raised to end the process; else it is an error of the cell.
    """
    work = task.place.work / task.digest
    try:
        kept = _kept(work) if work.exists() else None
        if kept is not None and (not kind_named(task.kind).makes_files or _has_files(task.place, task.digest)):
            return kept
        with ExitStack() as held:
            return _computed(task, work, held)
    except (StoppedError, KeyboardInterrupt):
        return Outcome(digest=task.digest, stopped=True)
    except LostFilesError as error:
        return Outcome(digest=task.digest, error=one_line(str(error)), fatal=True, lost=error.digest)
    except (DataError, StateError) as error:
        return Outcome(digest=task.digest, error=one_line(str(error)), fatal=True)
    except ValueError as error:
        return Outcome(digest=task.digest, error=one_line(str(error)))
    except BaseException as error:  # whatever a model of others raises
        if exits and isinstance(error, SystemExit):
            raise
        return Outcome(digest=task.digest, error=one_line(f"{type(error).__name__}: {error}"))


def _computed(task: Task, work: Path, held: ExitStack) -> Outcome:
    began = time.perf_counter()

    def folder() -> Path:
        held.enter_context(_alone(work))
        return work / "state"

    kind = kind_named(task.kind)
    job = Job(
        settings=task.settings,
        seed=task.seed,
        needs={name: _files(task.place, digest) for name, digest in task.needs.items()},
        folder=folder,
        output=work / "output",
        device=task.device,
        data_root=task.data_root,
    )
    if job.output.exists():
        # Of an attempt that was killed.
        shutil.rmtree(job.output)
    with _threads(task.threads):
        found = kind.run(job)
    value, times = _plain(task.kind, found)
    if kind.makes_files:
        task.place.put_folder(job.output, f"files/{task.digest}")
    seconds = time.perf_counter() - began
    outcome = Outcome(digest=task.digest, value=value, times={**times, "total": seconds})
    if seconds >= WORTH_KEEPING:
        work.mkdir(parents=True, exist_ok=True)
        write_text(work / OUTCOME, json.dumps({"value": value, "times": dict(outcome.times)}) + "\n")
        # On another machine than the driver's nobody else would.
        for done in (work / "state", job.output):
            shutil.rmtree(done, ignore_errors=True)
    return outcome


def _plain(kind: str, found: Found) -> tuple[dict[str, Any], dict[str, float]]:
    """Value and times as results hold them; times that are no number of JSON are left out."""
    try:
        value = json.loads(json.dumps(without_nan(dict(found.value)), allow_nan=False))
        times = {str(name): float(seconds) for name, seconds in found.times.items()}
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"what a cell {said(kind)} finds is no value for JSON with times: {error}") from error
    return value, {name: seconds for name, seconds in times.items() if math.isfinite(seconds)}


def forget(place: Place, digest: str) -> None:
    """Remove what is left of computing a cell that is stored."""
    if (folder := place.work / digest).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _kept(work: Path) -> Outcome | None:
    try:
        kept = read_json(work / OUTCOME, MOST_OF_AN_OUTCOME)
        value, times = dict(kept["value"]), {name: float(seconds) for name, seconds in kept["times"].items()}
        json.dumps([value, times], allow_nan=False)  # numbers may be beyond those of JSON all the same
        return Outcome(digest=work.name, value=value, times=times)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _files(place: Place, digest: str) -> Path:
    found = place.folder(f"files/{digest}")
    if found is None:
        raise LostFilesError(
            f"what the cell {digest[:8]} made is not at {place.address}; take a folder that all machines see, or an "
            "address",
            digest,
        )
    return found


def _has_files(place: Place, digest: str) -> bool:
    return place.folder(f"files/{digest}") is not None


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold a cell's folder; a process of a driver that was killed may hold it for a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        hold = locked(work, "cell")
        try:
            hold.__enter__()
            break
        except StateError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        hold.__exit__(None, None, None)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """PyTorch with so many threads: sums that are split otherwise are rounded otherwise."""
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
