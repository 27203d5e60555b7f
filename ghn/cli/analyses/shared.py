"""What tasks of `ghn analyze` share: which networks, starts and images; how results are written and shown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional

from ghn.cli.support.options import DataRoot, Device, Folder, Force, Json, Quiet, Seed, check_seen, option
from ghn.cli.support.results import print_json

if TYPE_CHECKING:
    from ghn.analysis.networks import Networks
    from ghn.analysis.records import Record
    from ghn.common.progress import Bar

PICTURES = (".svg", ".png", ".pdf")
TABLES = (".json", ".csv")


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Which networks.

    Attributes:
        models: Models as `ghn predict` takes them, with blanks or commas between them; torchvision-74 stands for the
            paper's 74 classifiers.
        split: Networks of DeepNets-1M, e.g. test:20 for the first 20 of the split test.
        metadata: Published JSON file to take the networks of splits from.
        num_classes: Outputs of the networks.
        image_size: Side in pixels of what the networks see.
        output: Files for the results: .json, .csv, or a picture (.svg, .png, .pdf) of what has
            one; several may be given.
    """

    models: Annotated[Positional[tuple[str, ...]], option("MODEL", default="none")] = ()
    split: Annotated[tuple[str, ...], option("SPLIT:N", default="none")] = ()
    metadata: Annotated[str | None, option("FILE", default="drawn")] = None
    num_classes: Annotated[int | None, option("N", default="the data's")] = None
    image_size: Annotated[int | None, option("PIXELS", default="the data's, 224 for folders and noise")] = None
    output: Annotated[tuple[Path, ...], option("FILE", default="none", short="-o")] = ()
    force: Force = False
    json: Json = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class StartOptions(NetworkOptions):
    """Which networks, from which starts, on which images.

    Attributes:
        init: Starts, with blanks or commas between them: chains of initialisers (docs/starts.md), or trained, for
            weights that torchvision or timm has for a model, or that --trained holds.
        trained: Folder of trained weights: MODEL.safetensors, MODEL.pt or MODEL.pth.
        data: Data set (cifar10, cifar100, digits), folder of <class>/*.jpg, or noise.
        images: In the batch that is looked at; memory grows with it.
    """

    init: Annotated[tuple[str, ...], option("A,B,C")] = ("default",)
    trained: Annotated[str | None, option("FOLDER", default="the library fetches them")] = None
    data: Annotated[str, option("DATA|FOLDER")] = "digits"
    data_root: DataRoot = None
    images: Annotated[int, option("N")] = 32
    seed: Seed = 0
    folder: Folder = None
    device: Device = None


def check_outputs(options: NetworkOptions, suffixes: tuple[str, ...] = (*TABLES, *PICTURES)) -> None:
    """See before any work that the outputs can be written.

    Raises:
        ValueError: In one line.
    """
    from ghn.cli.support.files import check_keeps, check_writable

    check_keeps(getattr(options, "folder", None))
    kept = bool(options.output) or getattr(options, "folder", None) is not None
    check_seen(quiet=options.quiet, json=options.json, kept=kept)
    for file in options.output:
        check_writable(file, suffixes, force=options.force)
        if file.suffix.lower() in PICTURES:
            from ghn.common.optional import require

            require("matplotlib", "plots", f"the picture {file.name}")


def networks_of(options: NetworkOptions, **settings: Any) -> Networks:
    """The networks that options name.

    Args:
        options: As given.
        **settings: Fields of `AnalysisConfig`, instead of those of the options.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    from ghn.analysis.config import TRAINED, AnalysisConfig
    from ghn.analysis.networks import Networks
    from ghn.cli.support.models import look_in_current_folder
    from ghn.common.devices import chosen_device
    from ghn.initializers.chain import NAMES
    from ghn.zoo.names import split_names

    look_in_current_folder()
    given: dict[str, Any] = {
        "models": tuple(model for text in options.models for model in split_names(text)),
        "splits": dict(_split(text) for texts in options.split for text in texts.split(",")),
        "metadata": options.metadata,
        "num_classes": options.num_classes,
        "image_size": options.image_size,
    }
    device = "cpu"
    if isinstance(options, StartOptions):
        starts = (start for text in options.init for start in split_names(text, (*NAMES, TRAINED)))
        names = ("trained", "data", "data_root", "images", "seed")
        given |= {"starts": tuple(starts), **{name: getattr(options, name) for name in names}}
        device = chosen_device(options.device, "--device")
    return Networks(AnalysisConfig(**{**given, **settings}), device)


def _split(text: str) -> tuple[str, int]:
    name, colon, count = text.strip().partition(":")
    if not colon or not count.isdigit():
        raise ValueError(f"--split takes a split and a number of its networks, e.g. test:20, not {text!r}")
    return name, int(count)


@contextmanager
def working(options: NetworkOptions) -> Iterator[Bar]:
    """A bar on stderr while the block works; Ctrl-C says whether the same command goes on.

    Raises:
        KeyboardInterrupt: When it was interrupted, with a line on what is kept.
    """
    from ghn.common.progress import Bar

    with Bar("loading libraries", quiet=options.quiet or options.json) as bar:
        try:
            yield bar
        except KeyboardInterrupt:
            folder = getattr(options, "folder", None)
            kept = "nothing is kept" if folder is None else f"{folder} keeps what was done; the same command goes on"
            raise KeyboardInterrupt(kept) from None


def told(bar: Bar) -> Callable[[Record], None]:
    """What moves the bar after each network and start."""

    def tell(record: Record) -> None:
        failed = "" if record.error is None else f": failed, {record.error}"
        bar.advance(f"{record.model} from {record.start}{failed}")

    return tell


def give(
    options: NetworkOptions,
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    draw: Callable[[Path], None] | None = None,
) -> bool:
    """Write the outputs, and print JSON if that is asked for.

    Args:
        options: As given.
        record: All there is, plain values.
        rows: The table, for CSV.
        draw: Writes the picture.

    Returns:
        Whether a table remains to be shown.
    """
    from ghn.cli.support.files import replaced
    from ghn.common.optional import versions
    from ghn.common.text import without_nan

    whole = without_nan({"command": "analyze", **record, "versions": versions()})
    for file in options.output:
        suffix = file.suffix.lower()
        if suffix in PICTURES:
            assert draw is not None
            draw(file)
            continue
        text = json.dumps(whole, indent=2) + "\n" if suffix == ".json" else table_of(rows)
        with replaced(file) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    if options.json:
        print_json(whole)
    return not (options.json or options.quiet)


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; what is None or NaN is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = (row.get(name) for name in columns)
        writer.writerow(["" if cell is None or cell != cell else cell for cell in cells])
    return text.getvalue()


def failures(records: Sequence[Record]) -> list[str]:
    """What failed, a line each.

    Raises:
        ValueError: If all did.
    """
    failed = [record for record in records if record.error is not None]
    lines = [f"{record.model} from {record.start} failed: {record.error}" for record in failed]
    if failed and len(failed) == len(records):
        raise ValueError(f"no network could be looked at: {lines[0]}")
    return lines


def number(value: float | None, digits: int = 4) -> str:
    """A number in a cell: 1.234e+05, 0.123; nothing for none."""
    return "" if value is None or value != value else f"{value:.{digits}g}"
