"""`ghn explore`: one HTML page on which a model, and what starts make of it, are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ghn.cli.support.options import (
    DataRoot,
    Force,
    ImageSize,
    Model,
    NumClasses,
    Quiet,
    Seed,
    check_seed,
    option,
    switch,
)
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from ghn.analysis.explorer.page import Page
    from ghn.zoo.request import ModelRequest

SUFFIXES = (".html", ".htm")

OWN = "default"
"""The start that every page shows."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Look at a model in the browser: its modules, shapes, and what starts give it.

    The page is one file that needs no network and no server.

    Attributes:
        output: The .html file to write.
        init: Starts whose values stand beside the model's own, with commas or blanks between them, e.g. ghn,orthogonal
            (`ghn compare --list` lists them); default shows the model's own alone.
        graph_only: Show no values: the model is built without numbers, whatever its size.
        depth: Levels of modules that are open at first, 0 for none.
        data: Data set (cifar10, cifar100, digits) or folder of <class>/*.jpg, for starts that need images.
        data_images: How many.
    """

    model: Model
    output: Annotated[Path | None, option("FILE", default="the model's name, in this folder", short="-o")] = None
    force: Force = False
    init: Annotated[tuple[str, ...], option("A,B")] = ("ghn",)
    graph_only: Annotated[bool, switch()] = False
    depth: Annotated[int | None, option("N", default="as many as stay clear")] = None
    num_classes: NumClasses = None
    image_size: ImageSize = None
    seed: Seed = 0
    data: Annotated[str | None, option("DATA|FOLDER", default="none")] = None
    data_images: Annotated[int, option("N")] = 512
    data_root: DataRoot = None
    quiet: Quiet = False

    def __post_init__(self) -> None:
        if self.depth is not None and self.depth < 0:
            raise ValueError(f"--depth must be at least 0, not {self.depth}")
        if self.data_images < 1:
            raise ValueError(f"--data-images must be at least 1, not {self.data_images}")
        check_seed(self.seed)


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend; nothing is written then.
    """
    from ghn.cli.support.files import check_writable
    from ghn.cli.support.models import requested_model
    from ghn.cli.support.terminal import show, size

    output = options.output or Path(file_name(options.model))
    check_writable(output, SUFFIXES, force=options.force)
    request = requested_model(
        options.model, num_classes=options.num_classes, image_size=options.image_size, meta=options.graph_only
    )
    with Bar("loading libraries", quiet=options.quiet) as bar:
        page = _page(options, request, bar)
        with bar.step(f"writing {output}"):
            page.save(output)
    if not options.quiet:
        starts = ", ".join(start["name"] for start in page.document["starts"])
        nodes, edges = (len(page.document[part]) for part in ("nodes", "edges"))
        show(
            f"{output}: {nodes} nodes, {edges} edges, {'no values' if options.graph_only else f'values by {starts}'}, "
            f"{size(output.stat().st_size)}; open it in a browser"
        )


def _page(options: Options, request: ModelRequest, bar: Bar) -> Page:
    """Build the model and look at it from each start."""
    import torch

    from ghn.analysis import explore
    from ghn.cli.support.models import batches_for
    from ghn.initializers import create
    from ghn.zoo import build_model
    from ghn.zoo.names import split_names

    inits = [] if options.graph_only else [name for text in options.init for name in split_names(text) if name != OWN]
    # Whether there are such starts is found out before anything is built.
    needed = max((create(name).needs_images for name in inits), default=0)
    if needed and options.data is None:
        raise ValueError(f"{', '.join(inits)}: a start needs images; name some with --data DATA|FOLDER")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        with bar.step(f"building {options.model}"):
            built = build_model(request)
        batches = None
        if needed and options.data is not None:
            batches = batches_for(
                built,
                options.data,
                options.data_images,
                image_size=options.image_size,
                data_root=options.data_root,
                seed=options.seed,
            )
        with bar.step(f"looking at {options.model}"):
            return explore(
                built.model,
                built.example_inputs,
                inits=inits,
                batches=batches,
                seed=options.seed,
                title=options.model,
                depth=options.depth,
            )


def file_name(model: str) -> str:
    """The page's name if none is given: that of the model, as far as files can be called so."""
    import re

    return (re.sub(r"[^\w.-]+", "-", model).strip("-.")[:100] or "model") + ".html"
