"""Initialisers by name, and chains of them: `ghn:ghn3-t-cifar10+noise:0.3rel+calibrate`."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from torch import nn

from ghn.checkpoint.weights import SUFFIXES
from ghn.common.errors import check_path
from ghn.initializers.attention.mimetic import Mimetic
from ghn.initializers.calibration import Calibrate
from ghn.initializers.learned.gradinit import GradInit
from ghn.initializers.learned.metainit import MetaInit
from ghn.initializers.learned.nio import NIO
from ghn.initializers.lsuv import UnitVariance
from ghn.initializers.noise import Noise
from ghn.initializers.report import Batch, Initializer, StartReport, some_images
from ghn.initializers.simple import (
    Default,
    EachWeight,
    Hypernetwork,
    delta_orthogonal,
    orthogonal,
    orthogonalise,
)
from ghn.initializers.transfer.checkpoint import Checkpoint
from ghn.initializers.transfer.selection import WeightSelection

AGAIN = 0x5EED_0000_0001
"""Between the seeds of a step and of the same step further on."""

_Make = Callable[[str | None], Initializer]


def _plain(make: Callable[[], Initializer]) -> _Make:
    def made(argument: str | None) -> Initializer:
        if argument is not None:
            raise ValueError(f"{make().name} takes no argument, not {argument!r}")
        return make()

    return made


_STARTS: Mapping[str, _Make] = MappingProxyType(
    {
        "default": _plain(Default),
        "orthogonal": _plain(lambda: EachWeight("orthogonal", orthogonal)),
        "delta-orthogonal": _plain(lambda: EachWeight("delta-orthogonal", delta_orthogonal)),
        "lsuv": _plain(lambda: UnitVariance(first=True)),
        "ghn": Hypernetwork,
        "checkpoint": Checkpoint,
        "weight-selection": WeightSelection.named,
    }
)
_FOLLOWING: Mapping[str, _Make] = MappingProxyType(
    {
        "noise": Noise,
        "orthogonalise": _plain(lambda: EachWeight("orthogonalise", orthogonalise)),
        "unit-variance": _plain(lambda: UnitVariance(first=False)),
        "mimetic": Mimetic,
        "metainit": MetaInit,
        "gradinit": GradInit,
        "nio": NIO,
        "statistics": _plain(lambda: Calibrate(head=False)),
        "calibrate": _plain(lambda: Calibrate(head=True)),
    }
)

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "default": "the model's own initialisation",
        "orthogonal": "orthonormal weights (Saxe et al., ICLR 2014)",
        "delta-orthogonal": "orthogonal in the middle of each kernel, zero elsewhere (Xiao et al., ICML 2018)",
        "lsuv": "orthonormal, then unit variance layer by layer (Mishkin & Matas, ICLR 2016)",
        "ghn": "what a graph hypernetwork predicts; ghn:NAME|FOLDER takes another",
        "checkpoint": "what a file holds; the name of a .safetensors, .pt or .pth file alone means the same",
        "weight-selection": "from a trained model of any architecture: MODEL@FILE or MODEL (Xu et al., ICLR 2024)",
        "noise": "adds noise: noise:1e-5, or relative to each tensor's deviation, noise:0.3rel",
        "orthogonalise": "the nearest weights with orthonormal rows, at their own norms (Knyazev et al., 2022)",
        "unit-variance": "scales each layer until what it computes has variance 1",
        "mimetic": "self-attention near the identity, as trained (Trockman & Kolter, ICML 2023)",
        "metainit": "learns norms of weights: least gradient quotient (Dauphin & Schoenholz, NeurIPS 2019)",
        "gradinit": "learns scales: least loss after a step; gradinit:adam (Zhu et al., NeurIPS 2021)",
        "nio": "learns scales: gradients of images that agree; nio:adam (Yang et al., NeurIPS 2022)",
        "statistics": "batch-norm statistics from images",
        "calibrate": "noise on copies, sound variances, batch-norm statistics, and the head by ridge regression",
    }
)
"""What `create` knows, with a line on each."""


class Chain:
    """Initialisers one after the other.

    Args:
        steps: At least one.
    """

    def __init__(self, steps: Sequence[Initializer]) -> None:
        self.steps = tuple(steps)
        self.name = "+".join(step.name for step in steps)
        self.needs_images = max(step.needs_images for step in steps)

    def digest(self) -> str:
        """Of the files that the steps read: tells starts of the same name apart; empty where there are none."""
        digest, any_files = hashlib.sha256(), False
        for step in self.steps:
            for file in filter(Path.is_file, getattr(step, "files", ())):
                any_files = True
                digest.update(f"{step.name}\0{file.name}\0".encode("utf-8", "surrogatepass"))
                with open(file, "rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()[:16] if any_files else ""

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Apply each step to the model in place; see `Initializer`."""
        began = time.perf_counter()
        # Steps iterate over them more than once.
        given = None if batches is None else list(batches)
        if self.needs_images:
            given = list(some_images(given, self.needs_images, self.name))
        reports = []
        for place, step in enumerate(self.steps):
            started = time.perf_counter()
            # A step that comes again draws other numbers.
            before = sum(type(earlier) is type(step) for earlier in self.steps[:place])
            report = step(model, given, seed=seed + AGAIN * before)
            reports.append(replace(report, seconds=time.perf_counter() - started))
        changed = dict.fromkeys(name for report in reports for name in report.changed)
        # Kept is what no step set; the last step that says why is believed.
        kept = {name: reason for report in reports for name, reason in report.kept.items() if name not in changed}
        return StartReport(
            name=self.name,
            changed=tuple(changed),
            kept=kept,
            seconds=time.perf_counter() - began,
            notes=tuple(note for report in reports for note in report.notes),
            steps=tuple(reports),
        )


def create(text: str) -> Chain:
    """The initialisers that a text names, joined by `+`.

    Args:
        text: One of `NAMES`, with an argument after a colon where it takes one, and steps that follow it, e.g.
            `ghn:ghn3-t-cifar10+noise:0.3rel+calibrate`. The name of a file of weights is a start, too.

    Raises:
        ValueError: If a name is unknown, or a step that changes what is there comes first but for calibration and
            noise, which also follow the model's own initialisation.
    """
    check_path(text, "a start")
    text = os.fspath(text)
    steps: list[Initializer] = []
    for part in _parts(text):
        name, colon, argument = part.partition(":")
        make = _STARTS.get(name) or _FOLLOWING.get(name)
        if make is None and part.endswith(SUFFIXES):
            name, colon, argument, make = "checkpoint", ":", part, _STARTS["checkpoint"]
        if make is None:
            near = difflib.get_close_matches(name, NAMES, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(NAMES)}"
            raise ValueError(f"unknown initialiser {name!r}; {hint}")
        if steps and name in _STARTS:
            raise ValueError(f"{name} sets all anew and cannot follow {steps[-1].name}; put it first")
        if name in _FOLLOWING and not steps:
            steps.append(Default())
        steps.append(make(argument if colon else None))
    return Chain(steps)


def _parts(text: str) -> list[str]:
    """Split at the plus signs that begin a step, for names of files may hold others."""
    known = "|".join(map(re.escape, sorted((*_STARTS, *_FOLLOWING), key=len, reverse=True)))
    parts = re.split(rf"\+(?=(?:{known})(?:[:+]|$))", text)
    unknown = [part for part in parts if ":" not in part and "+" in part and not part.endswith(SUFFIXES)]
    # A misspelt step is part of the one before it, which then has an odd name.
    return [piece for part in parts for piece in (part.split("+") if part in unknown else [part])]
