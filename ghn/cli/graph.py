"""`ghn graph`: draw the computational graph of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ghn.cli.support.models import BY_MODULES
from ghn.cli.support.options import Force, ImageSize, Json, Model, NumClasses, OutputRequired, Quiet, switch
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

FOLDED = "Draw every block. Otherwise equal blocks that follow each other are drawn once, with the number of times."


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw the computational graph of a model, or write it as JSON or DOT.

    Attributes:
        output: The file to write; its suffix chooses the format: .svg, .png or .pdf (pictures), .json or .dot.
    """

    model: Model
    output: OutputRequired
    force: Force = False
    fold: Annotated[bool, switch(FOLDED)] = True
    num_classes: NumClasses = None
    image_size: ImageSize = None
    quiet: Quiet = False
    json: Json = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend; nothing is written then.
    """
    from ghn.cli.support.files import check_writable
    from ghn.cli.support.models import requested_model
    from ghn.cli.support.terminal import show
    from ghn.zoo import build_model

    request = requested_model(options.model, num_classes=options.num_classes, image_size=options.image_size, meta=True)
    with Bar("loading libraries", quiet=options.quiet) as bar:
        from ghn.draw.save import WRITERS, save
        from ghn.graph.trace import trace

        check_writable(options.output, tuple(WRITERS), force=options.force)
        with bar.step(f"building {options.model}"):
            built = build_model(request)
        with bar.step(f"tracing {options.model}"):
            graph = trace(built.model, built.example_inputs)
        with bar.step(f"writing {options.output}"):
            save(graph, options.output, fold=options.fold)
    counts = {"nodes": len(graph), "edges": len(graph.edges)}
    if options.json:
        print_json({"output": str(options.output), **counts, "traced_by": graph.traced_by})
    elif not options.quiet:
        notes = [BY_MODULES] if graph.traced_by == "modules" else []
        show(f"{options.output}: {len(graph)} nodes, {len(graph.edges)} edges", *notes)
