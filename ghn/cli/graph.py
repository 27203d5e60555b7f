"""`ghn graph`: draw the computational graph of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw the computational graph of a model, or write it as JSON or DOT.

    Attributes:
        model: A model, as for `ghn predict`: NAME (torchvision), timm:NAME, hf:TYPE, package.module:factory
            or file.py:factory.
        output: The file to write; its suffix chooses the format: .svg (a picture), .json or .dot.
        num_classes: Outputs of the model's classification head; None for its own number.
        image_size: Side in pixels of the square images the model is built for and traced with; None for its own.
        quiet: Show nothing but errors.
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    num_classes: Annotated[int | None, arg(metavar="N")] = None
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    quiet: bool = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend; nothing is written then.
    """
    from ghn.cli.support.files import check_writable
    from ghn.cli.support.models import requested_model
    from ghn.cli.support.terminal import Steps, show
    from ghn.zoo import build_model

    request = requested_model(options.model, num_classes=options.num_classes, image_size=options.image_size, meta=True)
    steps = Steps(quiet=options.quiet)
    with steps.step("loading libraries"):
        from ghn.draw.save import WRITERS, save
        from ghn.graph.trace import trace
    check_writable(options.output, tuple(WRITERS))
    with steps.step(f"building {options.model}"):
        built = build_model(request)
    with steps.step(f"tracing {options.model}"):
        graph = trace(built.model, built.example_inputs)
    with steps.step(f"writing {options.output}"):
        save(graph, options.output)
    if not options.quiet:
        show(f"{options.output}: {len(graph)} nodes, {len(graph.edges)} edges (traced by {graph.traced_by})")
