"""`ghn analyze diversity`: how unlike tensors of equal shape are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ghn.cli.analyses.shared import StartOptions, check_outputs, failures, give, networks_of, number, told, working
from ghn.cli.support.options import option

if TYPE_CHECKING:
    from ghn.analysis.records import Record


@dataclass(frozen=True, kw_only=True)
class Options(StartOptions):
    """How unlike the tensors of equal shape are that networks have.

    The mean of 1 - |cos| over all pairs (table 9): 0 alike, 1 orthogonal.

    Trained weights are compared after their channels are matched.

    Attributes:
        shape: Shapes, e.g. 256x256x3x3; one number alone means the most frequent shape of so many outputs.
        matched: Starts whose channels are matched, by the Hungarian method.
    """

    shape: Annotated[
        tuple[str, ...], option("SHAPE", default="those of table 9 that there are, or the most frequent ones")
    ] = ()
    matched: Annotated[tuple[str, ...], option("START")] = ("trained",)


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options)
    with working(options) as bar:
        from ghn.analysis.diversity import diversity
        from ghn.analysis.published import distances

        networks = networks_of(options)
        count = len(networks.candidates)
        bar.begin(count * len(networks.config.starts), "tensors")
        tell, seen = told(bar), []

        def progress(record: Record) -> None:
            seen.append(record)
            tell(record)

        rows = diversity(
            networks, options.shape or None, matched=options.matched, folder=options.folder, progress=progress
        )
    failed = failures(seen)
    about = f"tensors of {count} networks, {networks.classes} classes, {networks.image_size} pixels"
    published = {row.asked: distances(row.shape, third=row.asked == "1024") for row in rows}
    record = {
        "task": "diversity",
        "config": networks.config.to_dict(),
        "rows": [row.to_dict() for row in rows],
        "published": published,
        "failed": failed,
    }

    def draw(file: Path) -> None:
        from ghn.analysis.figures.diversity import draw_diversity

        draw_diversity(rows, file, about)

    if not give(options, record, [row.to_dict() for row in rows], draw):
        return
    from ghn.cli.support.terminal import make_table, show

    numbers = ("distance", "tensors", "networks")
    table = make_table(f"mean of 1 - |cos|: {about}", "shape", "start", *numbers, "", right=numbers)
    for row in rows:
        how = "channels matched" if row.matched else ""
        table.add_row(row.shape, row.start, number(row.mean, 3) or "-", str(row.tensors), str(row.networks), how)
    beside = make_table("published (table 9)", "shape", "start", "distance", right=("distance",))
    for row in {row.asked: row for row in rows}.values():
        for name, value in published[row.asked].items():
            beside.add_row(row.shape if row.asked != "1024" else "1024 x ..., not all given", name, f"{value:g}")
    notes = [*failed, *map(str, options.output)]
    below = ("", beside) if any(published.values()) else ()
    show(table, *below, *(["", *notes] if notes else []))
