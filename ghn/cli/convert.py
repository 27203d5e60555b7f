"""`ghn convert`: turn a released or training checkpoint into the format of this library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from ghn.cli.support.options import DataRoot, Force, Json, Quiet, option
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

RENAMED = {"--images": "--data"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn a released pickle or a training file into safetensors.

    Nothing in the file is ever executed.

    Attributes:
        file: Made by joblib.dump, pickle.dump or torch.save; or the folder of a training (`ghn train`), of whose last
            state a hypernetwork is made.
        output: The folder to write; made if it does not exist.
        data: Data set (cifar10, cifar100, digits) of which 64 training images come along, the classes as equally
            often as can be: predicted networks get batch-norm statistics from them.
    """

    file: Annotated[Positional[Path], option("FILE|RUN")]
    output: Annotated[Path, option("FOLDER", short="-o")]
    force: Force = False
    data: Annotated[str | None, option("DATA", default="none")] = None
    data_root: DataRoot = None
    quiet: Quiet = False
    json: Json = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, if the file is no sound checkpoint or the folder cannot be written.
    """
    from ghn.cli.support.terminal import show, size

    with Bar("loading libraries", quiet=options.quiet) as bar:
        from ghn.checkpoint import convert_checkpoint, describe
        from ghn.checkpoint.images import COUNT
        from ghn.checkpoint.save import FILES
        from ghn.cli.support.files import check_folder
        from ghn.data import load
        from ghn.meta.export import export
        from ghn.training.state import CURRENT

        check_folder(options.output, FILES, force=options.force)
        images = None
        if options.data is not None:
            with bar.step(f"loading {options.data}"):
                images = load(options.data, root=options.data_root, split="train").few_shot(COUNT)
        with bar.step(f"converting {options.file}"):
            if options.file.is_dir() or options.file.name == CURRENT:
                run = options.file if options.file.is_dir() else options.file.parent
                folder = export(run, options.output, images=images)
            else:
                folder = convert_checkpoint(options.file, options.output, images=images)
            described = describe(folder)
    if options.json:
        print_json(described, default=str)
    elif not options.quiet:
        show(f"{folder}: {described['architecture']}, {described['total']:,} parameters, {size(described['bytes'])}")
