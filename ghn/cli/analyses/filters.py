"""`ghn analyze filters`: filters of first layers as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ghn.cli.analyses.shared import StartOptions, check_outputs, failures, give, networks_of, number, told, working


@dataclass(frozen=True, kw_only=True)
class Options(StartOptions):
    """Filters of the first layer, from several starts side by side.

    The table says how many of them differ.
    """


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options)
    with working(options) as bar:
        from ghn.analysis.filters import filter_records

        networks = networks_of(options)
        bar.begin(len(networks.candidates) * len(networks.config.starts), "filters")
        found = filter_records(networks, folder=options.folder, progress=told(bar))
    notes = failures(found)
    rows = [{"model": one.model, "start": one.start, **one.values} for one in found if one.error is None]
    record = {
        "task": "filters",
        "config": networks.config.to_dict(),
        "networks": [one.to_dict() for one in found],
    }

    def draw(file: Path) -> None:
        from ghn.analysis.figures.filters import draw_filters

        draw_filters(found, file)

    if not give(options, record, rows, draw):
        return
    from ghn.cli.support.terminal import make_table, show

    numbers = ("filters", "differ", "distance")
    title = "filters of the first layer; distance: mean of 1 - |cos| over pairs"
    table = make_table(title, "network", "start", "layer", *numbers, right=numbers)
    for row in rows:
        counts = (str(row["filters"]), str(row["distinct"]), number(row["distance"], 3))
        table.add_row(row["model"], row["start"].replace("+", "\n+"), row["layer"], *counts)
    ends = [*notes, *map(str, options.output)]
    show(table, *(["", *ends] if ends else []))
