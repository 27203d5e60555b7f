"""`ghn analyze statistics`: what graphs of networks look like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from ghn.cli.analyses.shared import NetworkOptions, check_outputs, give, networks_of, working

MOST_ROWS = 100
"""Networks that the table lists one by one."""


@dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions):
    """Sizes, degrees and lengths of paths of networks' graphs."""


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options)
    with working(options) as bar:
        from ghn.analysis.config import NOISE
        from ghn.analysis.statistics import statistics, summary

        networks = networks_of(options, data=NOISE)
        count = len(networks.candidates)
        bar.begin(count, "graphs")
        found = statistics(networks, progress=lambda row: bar.advance(row.model))
    rows = [{name: value for name, value in row.to_dict().items() if name != "primitives"} for row in found]
    whole, count = summary(found), len(found)
    failed = [f"{name} failed: {reason}" for name, reason in networks.failed.items()]
    about = f"graphs of {count} networks, {networks.image_size} pixels"
    record = {
        "task": "statistics",
        "config": networks.config.to_dict(),
        "networks": [row.to_dict() for row in found],
        "summary": {name: asdict(spread) for name, spread in whole.items()},
        "failed": failed,
    }

    def draw(file: Path) -> None:
        from ghn.analysis.figures.families import draw_statistics

        draw_statistics(found, file, about)

    if not give(options, record, rows, draw):
        return
    from ghn.cli.support.terminal import make_table, show

    numbers = ("nodes", "edges", "parameters, M", "degree", "largest", "path length")
    table = make_table(about, "network", *numbers, right=numbers)
    for row in found[:MOST_ROWS]:
        counts = (str(row.nodes), str(row.edges), f"{row.parameters:.3g}", f"{row.degree:.2f}")
        table.add_row(row.model, *counts, str(row.largest_degree), f"{row.path_length:.1f}")
    spreads = make_table("over all", "", "mean ± std (range)")
    for name, spread in whole.items():
        spreads.add_row(name.replace("_", " ") + (", M" if name == "parameters" else ""), str(spread))
    more = [f"and {count - MOST_ROWS} more; -o FILE.csv has them all"] if count > MOST_ROWS else []
    whole_table = ("", spreads) if count > 1 else ()
    show(table, *more, *whole_table, *failed, *map(str, options.output))
