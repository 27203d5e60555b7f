"""`ghn convert`: turn a released or training checkpoint into the format of this library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn a released pickle or a training file into safetensors.

    Nothing in the file is ever executed.

    Attributes:
        file: Made by joblib.dump, pickle.dump or torch.save.
        output: The folder to write; made if it does not exist.
        images: Data set (cifar10, cifar100, digits) of which 64 training images come along, the classes as equally
            often as can be: predicted networks get batch-norm statistics from them.
        data_root: Folder that holds the data set; None for the default.
        quiet: Show nothing but errors.
    """

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    output: Annotated[Path, arg(aliases=["-o"], metavar="FOLDER")]
    images: Annotated[str | None, arg(metavar="DATA")] = None
    data_root: Annotated[Path | None, arg(metavar="FOLDER")] = None
    quiet: bool = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, if the file is no sound checkpoint or the folder cannot be written.
    """
    from ghn.cli.support.terminal import Steps, show, size

    steps = Steps(quiet=options.quiet)
    with steps.step("loading libraries"):
        from ghn.checkpoint import convert_checkpoint, describe
        from ghn.checkpoint.images import COUNT
        from ghn.data import load
    images = None
    if options.images is not None:
        with steps.step(f"loading {options.images}"):
            images = load(options.images, root=options.data_root, split="train").few_shot(COUNT)
    with steps.step(f"converting {options.file}"):
        folder = convert_checkpoint(options.file, options.output, images=images)
    if not options.quiet:
        described = describe(folder)
        show(f"{folder}: {described['architecture']}, {described['total']:,} parameters, {size(described['bytes'])}")
