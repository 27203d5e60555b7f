"""What `ghn.analysis` measures of networks from a start: scores, variances, filters, diversity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ghn.analysis.config import TRAINED, AnalysisConfig
from ghn.analysis.diversity import diversity
from ghn.analysis.filters import filter_records
from ghn.analysis.networks import Networks
from ghn.analysis.ranking import scored
from ghn.analysis.records import Record
from ghn.analysis.variance import variance_records
from ghn.analysis.zero_cost.table import SCORES
from ghn.experiments.grid.cell import Found, Job, Kind
from ghn.experiments.kinds.starts import files_of_start, with_folders


def _run(job: Job) -> Found:
    """The settings are `task`, `models`, `init` (or `trained`), `data`, `image_size`, `num_classes`, `images`.

    All tasks but `diversity` take one model.
    """
    settings = job.settings
    config = AnalysisConfig(
        models=tuple(settings["models"]),
        starts=(with_folders(settings["init"], job.needs),),
        data=settings["data"],
        data_root=job.data_root,
        image_size=settings["image_size"],
        num_classes=settings["num_classes"],
        images=settings["images"],
        seed=job.seed,
    )
    return Found(value=TASKS[settings["task"]](Networks(config, job.device)))


def _only(found: list[Record]) -> Record:
    """The one record that there is.

    Raises:
        ValueError: With the reason why the network could not be measured.
    """
    (record,) = found
    if record.error is not None:
        raise ValueError(record.error)
    return record


def _scores(networks: Networks) -> Mapping[str, Any]:
    return _only(scored(networks, SCORES)).values


def _variance(networks: Networks) -> Mapping[str, Any]:
    return _only(variance_records(networks)).values


def _filters(networks: Networks) -> Mapping[str, Any]:
    """`weights`, nested lists (O, C, h, w), beside what is said of them."""
    record = _only(filter_records(networks))
    return {**record.values, "weights": record.tensors["filters"].tolist()}


def _diversity(networks: Networks) -> Mapping[str, Any]:
    """A list of `distances`, one for each shape of the paper's table; tensors of trained networks are matched first."""
    return {"distances": [row.to_dict() for row in diversity(networks, matched=(TRAINED,))]}


TASKS: Mapping[str, Callable[[Networks], Mapping[str, Any]]] = MappingProxyType(
    {"scores": _scores, "variance": _variance, "filters": _filters, "diversity": _diversity}
)
"""By name."""


def _inputs(settings: Mapping[str, Any]) -> Mapping[str, str]:
    return {} if settings["init"] == TRAINED else files_of_start(settings["init"])


KIND = Kind(version=1, run=_run, inputs=_inputs)
