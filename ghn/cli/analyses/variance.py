"""`ghn analyze variance`: how large activations are, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ghn.cli.analyses.shared import StartOptions, check_outputs, failures, give, networks_of, number, told, working

MOST_SENTENCES = 12


@dataclass(frozen=True, kw_only=True)
class Options(StartOptions):
    """Variance of what each layer gives for a batch, from several starts.

    A sentence names the layer where activations explode or vanish.
    """


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options)
    with working(options) as bar:
        from ghn.analysis.variance import sentence, variance_records

        networks = networks_of(options)
        bar.begin(len(networks.candidates) * len(networks.config.starts), "variances")
        found = variance_records(networks, folder=options.folder, progress=told(bar))
    notes = failures(found)
    sound = [one for one in found if one.error is None]
    sentences = [f"{one.model} from {one.start} {sentence(one.values)}" for one in sound]
    rows = [
        {"model": one.model, "start": one.start, "number": place, "layer": layer, "variance": variance}
        for one in sound
        for place, (layer, variance) in enumerate(zip(one.values["layers"], one.values["variances"], strict=True), 1)
    ]
    record = {
        "task": "variance",
        "config": networks.config.to_dict(),
        "networks": [one.to_dict() for one in found],
        "sentences": sentences,
    }

    def draw(file: Path) -> None:
        from ghn.analysis.figures.variance import draw_variance

        draw_variance(found, file, networks.shown)

    if not give(options, record, rows, draw):
        return
    from ghn.cli.support.terminal import make_table, show

    numbers = ("layers", "first", "median", "largest", "last")
    title = f"variance of what each layer gives, over {networks.shown}"
    table = make_table(title, "network", "start", *numbers, right=numbers)
    for one in sound:
        values = [value for value in one.values["variances"] if value is not None]
        middle = sorted(values)[len(values) // 2] if values else None
        ends = (one.values["variances"][0], middle, max(values, default=None), one.values["variances"][-1])
        cells = (number(value, 3) or "not finite" for value in ends)
        table.add_row(one.model, one.start.replace("+", "\n+"), str(len(one.values["layers"])), *cells)
    show(table, "", *told_of(sentences), *notes, *map(str, options.output))


def told_of(sentences: Sequence[str]) -> list[str]:
    """All sentences where they are few, else those of activations that explode or vanish, and how many others stay."""
    if len(sentences) <= MOST_SENTENCES:
        return list(sentences)
    found = [line for line in sentences if " stays between " not in line]
    return [*found, f"{len(sentences) - len(found)} others stay within bounds; -o FILE.json says within which"]
