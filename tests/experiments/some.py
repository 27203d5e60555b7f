"""Kinds of cells to test grids with."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ghn.data import DataError
from ghn.experiments.grid.cell import Cell, Found, Job, Kind

ADD, SLOW, BROKEN, DEADLY, FOLDER, READ = (
    f"tests.experiments.some:{name}" for name in ("add", "slow", "broken", "deadly", "folder", "read")
)


def note(settings: dict[str, object] | object, digest: str) -> None:
    """Write down that a cell was computed, in the file that its settings name, if any."""
    assert isinstance(settings, dict)
    if "log" in settings:
        with open(str(settings["log"]), "a", encoding="utf-8") as log:
            log.write(f"{digest} {os.getpid()}\n")


def _add(job: Job) -> Found:
    note(job.settings, str(job.settings["number"]))
    if "seconds" in job.settings:
        time.sleep(job.settings["seconds"])
    return Found(value={"sum": job.settings["number"] + job.seed}, times={"part": 0.5})


def _slow(job: Job) -> Found:
    """Ten parts, of which each is kept over kills."""
    job.work.mkdir(parents=True, exist_ok=True)
    file = job.work / "parts"
    while (done := len(file.read_text()) if file.exists() else 0) < 10:
        time.sleep(job.settings.get("seconds", 0.02))
        file.write_text("." * (done + 1))
    note(job.settings, str(job.settings["number"]))
    return Found(value={"parts": 10, "number": job.settings["number"]})


def _broken(job: Job) -> Found:
    kind = {"value": ValueError, "data": DataError, "other": RuntimeError}[job.settings["raises"]]
    raise kind("it cannot be")


def _deadly(job: Job) -> Found:
    """Kills its process, as often as the settings say."""
    job.work.mkdir(parents=True, exist_ok=True)
    file = job.work / "deaths"
    deaths = len(file.read_text()) if file.exists() else 0
    if deaths < job.settings["deaths"]:
        file.write_text("x" * (deaths + 1))
        os.kill(os.getpid(), 9)
    return Found(value={"deaths": deaths})


def _folder(job: Job) -> Found:
    note(job.settings, str(job.settings.get("name")))
    job.output.mkdir(parents=True)
    (job.output / "inner").mkdir()
    (job.output / "inner" / "text").write_text(f"made of {job.seed}")
    return Found(value={})


def _read(job: Job) -> Found:
    return Found(value={"text": (job.needs["made"] / "inner" / "text").read_text()})


def _digests(settings: object) -> dict[str, str]:
    assert isinstance(settings, dict)
    return {"file": Path(settings["file"]).read_text()} if "file" in settings else {}


add = Kind(version=1, run=_add, inputs=_digests)
slow = Kind(version=1, run=_slow)
broken = Kind(version=1, run=_broken)
deadly = Kind(version=1, run=_deadly)
folder = Kind(version=1, run=_folder, makes_files=True)
read = Kind(version=1, run=_read)


def adding(count: int, **settings: object) -> list[Cell]:
    """So many cells."""
    return [Cell(kind=ADD, settings={"number": number, **settings}, seed=1) for number in range(count)]
