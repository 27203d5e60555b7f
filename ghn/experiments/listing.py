"""The experiments by name: all that listing them needs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Entry(NamedTuple):
    """Where an experiment is declared, in `ghn.experiments.declared`, and what it is about."""

    place: str
    title: str


EXPERIMENTS: Mapping[str, Entry] = MappingProxyType(
    {
        "table1": Entry("sizes:TABLE1", "sizes of hypernetworks and what their training costs"),
        "table2": Entry("scaling:TABLE2", "larger hypernetworks: the best networks before and after a little training"),
        "table3": Entry("sizes:TABLE3", "evaluation splits: parameters, degree and path length of networks"),
        "table4": Entry("wins:TABLE4", "how often a predicted start is ahead of a random one"),
        "table5": Entry("ablations:TABLE5", "GHN-3-T without parts of its loss and of its view of the graph"),
        "table6": Entry("curves:TABLE6", "full trainings from several starts"),
        "table7": Entry("transfer:TABLE7", "transfer to few labels"),
        "table8": Entry("detection:TABLE8", "detectors on Penn-Fudan, their backbones from several starts"),
        "table9": Entry("likeness:TABLE9", "how unlike predicted, random and trained tensors of equal shape are"),
        "table10": Entry("ablations:TABLE10", "GHN-3-T with other penalties and weight decay"),
        "table11": Entry("ablations:TABLE11", "hypernetworks without their parts, on all splits of DeepNets-1M"),
        "table12": Entry("wins:TABLE12", "all networks, with and without training"),
        "table13": Entry("ranking:TABLE13", "how well scores rank networks without training them"),
        "figure1": Entry("scaling:FIGURE1", "accuracy after an epoch over the size of the hypernetwork"),
        "figure2": Entry("likeness:FIGURE2", "filters of the first layer from several starts"),
        "figure3": Entry("sizes:FIGURE3", "graphs of the networks of table 3"),
        "figure4": Entry("wins:FIGURE4", "predicted against random starts, network by network"),
        "figure5": Entry("norms:FIGURE5", "norms of predicted and random parameters"),
        "figure6": Entry("curves:FIGURE6", "training curves of the first network of table 6, and its activations"),
        "figure7": Entry("wins:FIGURE7", "predicted against random starts on DeepNets-1M"),
        "figure8": Entry("curves:FIGURE8", "training curves of the other networks of table 6"),
        "figure9": Entry("variance:FIGURE9", "variance of activations, layer by layer, from several starts"),
    }
)
"""By name. A new one is an entry here and an `Experiment` in a file of `declared`."""
