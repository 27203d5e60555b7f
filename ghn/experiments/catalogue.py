"""The experiments by name."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from types import MappingProxyType

from ghn.common.text import said
from ghn.experiments.declared.experiment import Experiment

_DECLARED = "ghn.experiments.declared"

EXPERIMENTS: Mapping[str, str] = MappingProxyType(
    {
        "table1": f"{_DECLARED}.sizes:TABLE1",
        "table2": f"{_DECLARED}.scaling:TABLE2",
        "table3": f"{_DECLARED}.sizes:TABLE3",
        "table4": f"{_DECLARED}.wins:TABLE4",
        "table5": f"{_DECLARED}.ablations:TABLE5",
        "table6": f"{_DECLARED}.curves:TABLE6",
        "table7": f"{_DECLARED}.transfer:TABLE7",
        "table10": f"{_DECLARED}.ablations:TABLE10",
        "table11": f"{_DECLARED}.ablations:TABLE11",
        "table12": f"{_DECLARED}.wins:TABLE12",
        "figure1": f"{_DECLARED}.scaling:FIGURE1",
        "figure3": f"{_DECLARED}.sizes:FIGURE3",
        "figure4": f"{_DECLARED}.wins:FIGURE4",
        "figure5": f"{_DECLARED}.norms:FIGURE5",
        "figure6": f"{_DECLARED}.curves:FIGURE6",
        "figure7": f"{_DECLARED}.wins:FIGURE7",
        "figure8": f"{_DECLARED}.curves:FIGURE8",
    }
)
"""Where each is declared. A new one is an entry here and an `Experiment` in a file of `declared`."""


def experiment_named(name: str) -> Experiment:
    """An experiment.

    Raises:
        ValueError: If there is none of that name; the message has the nearest ones.
    """
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name.lower().replace(" ", ""), EXPERIMENTS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(EXPERIMENTS)}"
        raise ValueError(f"unknown experiment {said(name)}: {hint}")
    module, _, attribute = EXPERIMENTS[name].partition(":")
    found: Experiment = getattr(importlib.import_module(module), attribute)
    return found
