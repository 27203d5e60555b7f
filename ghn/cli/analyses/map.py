"""`ghn analyze map`: a map of architectures, as a hypernetwork sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ghn.cli.analyses.shared import NetworkOptions, check_outputs, give, networks_of, working
from ghn.cli.support.hypernetworks import DEFAULT_HYPERNETWORK, chosen_name
from ghn.cli.support.options import option


@dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions):
    """A map of architectures: near each other are networks with like graphs.

    A network is the mean of its nodes in a hypernetwork's encoder.

    Attributes:
        ghn: The hypernetwork: a bundled or published name (see `ghn info`), user/repo on the model hub, a folder or
            a file.
        near: A network whose nearest ones are listed; None for the first.
        neighbours: How many of these.
    """

    ghn: Annotated[str, option("NAME|PATH")] = DEFAULT_HYPERNETWORK
    near: Annotated[str | None, option("MODEL", default="none")] = None
    neighbours: Annotated[int, option("N")] = 5


def run(options: Options) -> None:
    """Run the task.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    check_outputs(options)
    if options.neighbours < 1:
        raise ValueError(f"--neighbours must be at least 1, not {options.neighbours}")
    with working(options) as bar:
        from ghn.analysis.architectures import architecture_map, check_on_map
        from ghn.analysis.config import NOISE
        from ghn.analysis.networks import name_of
        from ghn.model import from_pretrained

        networks = networks_of(options, data=NOISE)
        names = [name_of(candidate) for candidate in networks.candidates]
        if options.near is not None:
            check_on_map(options.near, names)
        hypernet = from_pretrained(chosen_name(options.ghn))
        bar.begin(len(networks.candidates), "graphs")
        found = architecture_map(networks, hypernet, progress=lambda one: bar.advance(one.name))
        near = options.near or found.models[0]
        check_on_map(near, found.models)
        nearest = found.nearest(near, options.neighbours)
    failed = [f"{name} failed: {reason}" for name, reason in networks.failed.items()]
    about = f"{len(found.models)} networks as the encoder of {options.ghn} sees them"
    rows = [
        {"model": model, "family": family, "x": float(x), "y": float(y), "nearest": found.nearest(model, 1)[0][0]}
        for model, family, (x, y) in zip(found.models, found.families, found.points, strict=True)
    ]
    record = {"task": "map", "config": networks.config.to_dict(), "hypernetwork": options.ghn, **found.to_dict()}
    record["failed"] = failed

    def draw(file: Path) -> None:
        from ghn.analysis.figures.families import draw_map

        draw_map(found, file, about)

    if not give(options, record, rows, draw):
        return
    from ghn.cli.support.terminal import make_table, show

    table = make_table(f"nearest to {near}: {about}", "network", "family", "cosine", right=("cosine",))
    for model, cosine in nearest:
        table.add_row(model, found.families[found.models.index(model)], f"{cosine:.3f}")
    lines = [*failed, *(str(file) for file in options.output)]
    show(table, *(["", *lines] if lines else []))
