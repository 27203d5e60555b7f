"""`ghn analyze scores`: zero-cost scores of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from ghn.cli.analyses.shared import (
    TABLES,
    StartOptions,
    check_outputs,
    failures,
    give,
    networks_of,
    number,
    told,
    working,
)
from ghn.cli.support.options import option

if TYPE_CHECKING:
    from ghn.analysis.records import Record

MOST_ACROSS = 3
"""Networks and starts that get a column each; of more, each gets a row."""


@dataclass(frozen=True, kw_only=True)
class Options(StartOptions):
    """Scores of networks from one batch of images, without training.

    Batch norms normalise by the batch, and nothing is dropped at random.

    Where a score is undefined, the table says why.

    Attributes:
        score: gradnorm, snip, fisher, jacobcov, plain, grasp, synflow, synflow-bn, naswot, parameters, multiply-adds,
            accuracy (on the images, from the start); None for all.
    """

    score: Annotated[tuple[str, ...], option("NAME", default="all")] = ()


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options, TABLES)
    with working(options) as bar:
        from ghn.analysis.ranking import scored

        names = score_names(options.score)
        networks = networks_of(options)
        bar.begin(len(networks.candidates) * len(networks.config.starts), "scores")
        found = scored(networks, names, folder=options.folder, progress=told(bar))
    notes = failures(found)
    rows = [{"model": one.model, "start": one.start, **one.values["scores"]} for one in found if one.error is None]
    record = {
        "task": "scores",
        "config": networks.config.to_dict(),
        "networks": [one.to_dict() for one in found],
    }
    if give(options, record, rows):
        show_scores(f"scores on {networks.shown}", found, names, [*notes, *map(str, options.output)])


def score_names(given: Sequence[str]) -> list[str]:
    """The scores that are asked for; all by default.

    Raises:
        ValueError: If there is no such score.
    """
    from ghn.analysis.ranking import ACCURACY
    from ghn.analysis.zero_cost.table import SCORES

    chosen = [name for text in given for name in text.split(",")] or [*SCORES, ACCURACY]
    unknown = next((name for name in chosen if name not in (*SCORES, ACCURACY)), None)
    if unknown is not None:
        raise ValueError(f"unknown score {unknown!r}; there are {', '.join((*SCORES, ACCURACY))}")
    return chosen


def show_scores(title: str, found: Sequence[Record], names: Sequence[str], notes: Sequence[str]) -> None:
    """A table with a column for each network and start where these are few, else a row."""
    from ghn.cli.support.terminal import make_table, show, width

    sound = [one for one in found if one.error is None]
    several = len({one.start for one in sound}) > 1
    labels = [f"{one.model}\n{one.start}" if several else one.model for one in sound]
    cells = {name: [number(one.values["scores"].get(name), 3) or "-" for one in sound] for name in names}
    if len(sound) <= MOST_ACROSS:
        tables = [make_table(title, "score", *labels, right=tuple(labels))]
        for name in names:
            tables[0].add_row(name, *cells[name])
    else:
        tables = []
        for group in fitting(labels, cells, width()):
            tables.append(make_table(title if not tables else "", "network", *group, right=tuple(group)))
            for place, label in enumerate(labels):
                tables[-1].add_row(label.replace("\n", " from "), *(cells[name][place] for name in group))
    why = _why(sound)
    parts = [part for table in tables for part in ("", table)][1:]
    show(*parts, *(["", *why, *notes] if why or notes else []))


def fitting(labels: Sequence[str], cells: Mapping[str, Sequence[str]], columns: int) -> list[list[str]]:
    """Groups of the columns of a table, each of which fits a terminal beside the labels.

    Args:
        labels: Of the rows.
        cells: Of each column by its name.
        columns: Characters of a line.
    """
    room = columns - max(map(len, labels))
    groups: list[list[str]] = []
    left = 0
    for name, column in cells.items():
        needed = 2 + max(map(len, (name, *column)))
        if not groups or needed > left:
            groups.append([])
            left = room
        groups[-1].append(name)
        left -= needed
    return groups


def _why(sound: Sequence[Any]) -> list[str]:
    """Reasons of undefined scores, each once."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in sound:
        for name, reason in one.values["reasons"].items():
            found.setdefault((name, reason), []).append(one.model)
    return [
        f"{name} of {models[0]}{f' and {len(models) - 1} others' if len(models) > 1 else ''}: {reason}"
        for (name, reason), models in found.items()
    ]
