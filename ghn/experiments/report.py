"""What an experiment found: a table beside the published one, series for a figure; as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from typing import Any

from ghn.common.text import without_nan
from ghn.experiments.published import Number


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A number of a table.

    Attributes:
        mean: Of the values.
        std: Their deviation (of the population, as published); None for what is no mean.
        count: How many.
    """

    mean: float
    std: float | None = None
    count: int = 1

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Entry | None:
        """The mean of the values that there are; None without any."""
        found = [value for value in values if value is not None]
        if not found:
            return None
        return cls(mean=fmean(found), std=pstdev(found) if len(found) > 1 else None, count=len(found))

    @classmethod
    def plain(cls, value: float | None) -> Entry | None:
        """A number that is no mean."""
        return None if value is None else cls(mean=value)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        name: First cell.
        entries: Ours, None where there is none.
        published: The paper's, in the same order.
    """

    name: str
    entries: Sequence[Entry | None]
    published: Sequence[Number | None]


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line or a cloud of points of a figure.

    Attributes:
        name: In the legend.
        x: Positions.
        y: Values, as many.
        band: Deviations, as many; empty for none.
        published: Whether it is the paper's.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[float] = ()
    published: bool = False


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure.

    Attributes:
        title: Above it.
        x: Name of the axis.
        y: Name of the other.
        series: What is drawn.
        points: Points only, no lines between them.
        diagonal: A line where x equals y.
        logarithmic: The x axis.
        logarithmic_y: The other one.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    points: bool = False
    diagonal: bool = False
    logarithmic: bool = False
    logarithmic_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Filters of a network as a mosaic.

    Attributes:
        title: Above it.
        filters: (O, C, h, w) as nested lists; empty for none yet.
    """

    title: str
    filters: Sequence[Any] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an experiment found.

    Attributes:
        name: Of the experiment.
        title: What it is about.
        scale: In which size.
        data: On which images.
        columns: Of the table, after the first.
        rows: Of the table.
        digits: After the point.
        plots: Figures, side by side.
        pictures: Likewise; in JSON without their filters.
        notes: What must be known to read the table.
        failed: Why cells have no result.
    """

    name: str
    title: str
    scale: str
    data: str
    columns: Sequence[str]
    rows: Sequence[Row]
    digits: int = 1
    plots: Sequence[Plot] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()
    failed: Sequence[str] = ()

    @property
    def has_figure(self) -> bool:
        """Whether it is a figure, of which there may be nothing yet."""
        return bool(self.plots or self.pictures)

    @property
    def to_draw(self) -> list[Plot | Picture]:
        """The plots and pictures of which there is something."""
        plots = [plot for plot in self.plots if any(len(series.x) for series in plot.series)]
        return [*plots, *(picture for picture in self.pictures if len(picture.filters))]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the same wherever the cells were computed."""
        return without_nan(
            {
                "experiment": self.name,
                "title": self.title,
                "scale": self.scale,
                "data": self.data,
                "columns": list(self.columns),
                "rows": [
                    {
                        "name": row.name,
                        "ours": [None if entry is None else asdict(entry) for entry in row.entries],
                        "published": [None if number is None else number._asdict() for number in row.published],
                    }
                    for row in self.rows
                ],
                "plots": [asdict(plot) for plot in self.plots],
                "pictures": [picture.title for picture in self.pictures],
                "notes": list(self.notes),
                "failed": list(self.failed),
            }
        )

    def markdown(self) -> str:
        """A table in which the paper's numbers stand in brackets behind ours."""
        lines = [f"# {self.name}: {self.title}", ""]
        lines += ["| | " + " | ".join(map(_escaped, self.columns)) + " |", "|---|" + "---:|" * len(self.columns)]
        for row in self.rows:
            cells = [self.cell(row, column) for column in range(len(self.columns))]
            lines.append(f"| {_escaped(row.name)} | " + " | ".join(cells) + " |")
        about = f"Scale {self.scale}, images of {self.data}. "
        lines += ["", about + "In brackets what the paper has, on ImageNet at its full size.", ""]
        lines += [f"- {_escaped(note)}" for note in self.notes]
        lines += [f"- failed: {_escaped(line)}" for line in self.failed]
        return "\n".join(lines).rstrip() + "\n"

    def cell(self, row: Row, column: int, between: str = " ") -> str:
        """A number as it stands in tables, `24.1 ± 1.0 [23.9 ± 1.0]`; `between` stands before what is published."""
        entry, number = row.entries[column], row.published[column]
        ours = "–" if entry is None else _number(entry.mean, entry.std, self.digits)
        theirs = "" if number is None else f"{between}[{_number(number.mean, number.std, None)}]"
        return f"{ours}{theirs}"


def _number(mean: float, std: float | None, digits: int | None) -> str:
    form = ".4g" if digits is None else f",.{digits}f"
    return f"{mean:{form}}" + ("" if std is None else f" ± {std:{form}}")


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
