"""Experiments from their names."""

from __future__ import annotations

import difflib
import importlib

from ghn.common.text import said
from ghn.experiments.declared.experiment import Experiment
from ghn.experiments.listing import EXPERIMENTS


def experiment_named(name: str) -> Experiment:
    """An experiment.

    Raises:
        ValueError: If there is none of that name; the message has the nearest ones.
    """
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name.lower().replace(" ", ""), EXPERIMENTS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(EXPERIMENTS)}"
        raise ValueError(f"unknown experiment {said(name)}: {hint}")
    module, _, attribute = EXPERIMENTS[name].place.partition(":")
    found: Experiment = getattr(importlib.import_module(f"ghn.experiments.declared.{module}"), attribute)
    return found
