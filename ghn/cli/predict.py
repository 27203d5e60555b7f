"""`ghn predict`: predict the parameters of a model and save its whole state as safetensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ghn.cli.support.hypernetworks import DEFAULT_HYPERNETWORK, chosen_name
from ghn.cli.support.models import BY_MODULES
from ghn.cli.support.options import (
    DataRoot,
    Device,
    Force,
    Hypernetwork,
    ImageSize,
    Json,
    Model,
    NumClasses,
    OutputRequired,
    Quiet,
    Seed,
    check_seed,
    option,
    switch,
)
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from rich.table import Table
    from torch import Tensor, nn

    from ghn.analysis.explorer.values import StartValues
    from ghn.batch_norm import StatisticsReport
    from ghn.hypernet.ghn import GHN
    from ghn.initialization import InitReport
    from ghn.initializers import StartReport
    from ghn.zoo.request import BuiltModel


PAGES = (".html", ".htm")
DECIDING = ("ghn", "seed", "head", "statistics", "calibrate", "calibrate_images")
"""Options that tell another prediction before any work; a model can be said in several ways."""

STATISTICS = (
    "Leave the statistics of batch norms as they are. Otherwise a few images that the hypernetwork brings along set "
    "them, unless --calibrate does: a hypernetwork predicts none, and without them a network with batch norm is near "
    "chance in evaluation mode."
)


RENAMED = {"--min-fraction": "--strict"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Predict the parameters of a model and save them with its buffers.

    The file loads with model.load_state_dict(safetensors.torch.load_file(FILE)).

    The options and the report are saved beside it, as FILE with .predict.json.

    The same prediction again leaves its file as it is; any other file that exists is replaced with --force only.

    Attributes:
        output: The .safetensors file to write.
        head: What to do with a classification head that has another number of classes than the hypernetwork's: keep its
            own initialisation, or predict it like any other weight.
        strict: Stop with an error if less than this fraction of all elements, 0 to 1, would be predicted.
        calibrate: Data set (cifar10, cifar100, digits) or folder of <class>/*.jpg, of which some training images set
            batch-norm statistics and solve the head (see ghn.calibrate).
        calibrate_images: How many.
        page: An .html file to write as well: the model and its predicted values, to look at in a browser
            (see `ghn explore`).
    """

    model: Model
    output: OutputRequired
    force: Force = False
    ghn: Hypernetwork = DEFAULT_HYPERNETWORK
    num_classes: NumClasses = None
    image_size: ImageSize = None
    head: Literal["keep", "predict"] = "keep"
    seed: Seed = 0
    strict: Annotated[float | None, option("FRACTION", default="no limit")] = None
    statistics: Annotated[bool, switch(STATISTICS)] = True
    calibrate: Annotated[str | None, option("DATA|FOLDER", default="off")] = None
    calibrate_images: Annotated[int, option("N")] = 512
    data_root: DataRoot = None
    page: Annotated[Path | None, option("FILE", default="none")] = None
    device: Device = None
    quiet: Quiet = False
    json: Json = False

    def __post_init__(self) -> None:
        if self.strict is not None and not 0 <= self.strict <= 1:
            raise ValueError(f"--strict must lie between 0 and 1, not {self.strict:g}")
        if self.calibrate_images < 1:
            raise ValueError(f"--calibrate-images must be at least 1, not {self.calibrate_images}")
        check_seed(self.seed)


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend; nothing is written then.
    """
    from ghn.cli.support.files import check_writable, holds, in_the_way, separate, write_weights

    check_writable(options.output, (".safetensors",))
    report_file = options.output.with_suffix(".predict.json")
    before = {} if options.force else _options_before(options.output, report_file)
    again = bool(before) and all(before.get(name) == getattr(options, name) for name in DECIDING)
    check_writable(options.output, (".safetensors",), force=options.force or again)
    check_writable(report_file, (".json",), force=options.force or again)
    if options.page is not None:
        replaces_own = again and before.get("page") == str(options.page)
        check_writable(options.page, PAGES, force=options.force or replaces_own)
    with Bar("loading libraries", quiet=options.quiet) as bar:
        built, hypernet, own, report, calibration = _predicted(options, bar)
        record = _record(options, hypernet, report, calibration)
        tensors = separate(built.model.state_dict())
        again = again and options.output.exists()
        if again and not holds(options.output, tensors):
            raise in_the_way(options.output)
        if not again:
            with bar.step(f"writing {options.output}"):
                facts = {"model": options.model, "hypernetwork": options.ghn}
                write_weights({options.output: tensors}, facts, record, report_file)
        if own is not None:
            with bar.step(f"writing {options.page}"):
                _write_page(options, built, own, report)
    if options.json:
        print_json(record)
    elif not options.quiet:
        _show(options, built.model, report, tensors, calibration, again=again)


def _options_before(output: Path, report_file: Path) -> dict[str, Any]:
    """The options of a file that this command wrote, by the record beside it; none of any other."""
    if not (output.is_file() and report_file.is_file()):
        return {}
    try:
        record = json.loads(report_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or record.get("command") != "predict":
        return {}
    options = record.get("options")
    return options if isinstance(options, dict) else {}


def _predicted(
    options: Options, bar: Bar
) -> tuple[BuiltModel, GHN, StartValues | None, InitReport, StartReport | None]:
    """The model with its predicted parameters, what its own were like where a page shows that, and what was done."""
    from ghn.cli.support.models import requested_model
    from ghn.zoo import build_model

    # Whatever can be wrong with names, before PyTorch is loaded.
    name = chosen_name(options.ghn)
    request = requested_model(options.model, num_classes=options.num_classes, image_size=options.image_size)
    import torch

    from ghn.batch_norm import statistics_from
    from ghn.common.devices import chosen_device
    from ghn.initialization import initialize
    from ghn.model import from_pretrained

    device = chosen_device(options.device, "--device")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        with bar.step(f"building {options.model}"):
            built = build_model(request)
            built.model.to(device)
        with bar.step(f"loading {name}"):
            hypernet = from_pretrained(name, device=device)
        own = _own_values(built) if options.page is not None else None
        with bar.step(f"predicting {options.model}"):
            report = initialize(
                hypernet,
                built.model,
                built.example_inputs,
                seed=options.seed,
                head=options.head,
                strict=options.strict,
            )
        calibration = _calibrated(options, built, bar) if options.calibrate is not None else None
        if options.statistics and calibration is None:
            with bar.step("setting batch-norm statistics"):
                statistics = statistics_from(built.model, hypernet.images, built.example_inputs)
                report = replace(report, statistics=statistics)
    return built, hypernet, own, report, calibration


def _calibrated(options: Options, built: BuiltModel, bar: Bar) -> StartReport:
    """Set what a few images can set."""
    from ghn.cli.support.models import batches_for
    from ghn.initializers import calibrate

    assert options.calibrate is not None
    with bar.step(f"calibrating on {options.calibrate}"):
        batches = batches_for(
            built,
            options.calibrate,
            options.calibrate_images,
            image_size=options.image_size,
            data_root=options.data_root,
            seed=options.seed,
        )
        return calibrate(built.model, batches, seed=options.seed)


def _own_values(built: BuiltModel) -> StartValues:
    """Of the model before anything is predicted."""
    from ghn.analysis.explorer.values import own_values
    from ghn.graph.trace import materialise

    materialise(built.model, built.example_inputs)
    return own_values(built.model)


def _write_page(options: Options, built: BuiltModel, own: StartValues, report: InitReport) -> None:
    """The page of the model with its predicted values beside its own."""
    from ghn.analysis.explorer.document import document
    from ghn.analysis.explorer.page import Page
    from ghn.analysis.explorer.values import StartValues, measured
    from ghn.cli.support.files import replaced
    from ghn.graph.trace import trace

    assert options.page is not None
    name = f"ghn:{options.ghn}" + (f", calibrated on {options.calibrate}" if options.calibrate else "")
    notes = [f"{100 * report.fraction:.2f} % of all elements predicted, traced by {report.traced_by}"]
    predicted = StartValues(name=name, values=measured(built.model), kept=report.kept, notes=tuple(notes))
    graph = trace(built.model, built.example_inputs)
    text = Page(document(graph, built.model, [own, predicted], title=options.model)).html()
    with replaced(options.page) as partial:
        partial.write_text(text, encoding="utf-8")


def _record(options: Options, hypernet: GHN, report: InitReport, calibration: StartReport | None) -> dict[str, Any]:
    """What is saved beside the result."""
    from importlib.metadata import version

    return {
        "command": "predict",
        "version": version("ghn"),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()},
        "hypernetwork": hypernet.config.to_dict(),
        "report": {
            "fraction": report.fraction,
            "total_norm": report.total_norm,
            "traced_by": report.traced_by,
            "seconds": dict(report.seconds),
            "predicted": list(report.predicted),
            "kept": dict(report.kept),
        },
        "statistics": None if report.statistics is None else asdict(report.statistics),
        "calibration": None
        if calibration is None
        else {"changed": list(calibration.changed), "notes": list(calibration.notes), "seconds": calibration.seconds},
    }


# What the user sees


@dataclass(kw_only=True)
class _Row:
    """Sums over the parameters of a part of the model."""

    predicted: int = 0
    kept: int = 0
    elements: int = 0
    predicted_elements: int = 0


MAX_ROWS = 16
"""Parts of the model that the table tells apart."""
MAX_NAMES = 3
"""Parameters that the table names for each reason; the file beside the result names all."""


def _show(
    options: Options,
    model: nn.Module,
    report: InitReport,
    tensors: Mapping[str, Tensor],
    calibration: StartReport | None,
    *,
    again: bool,
) -> None:
    from ghn.batch_norm import norms_with_statistics
    from ghn.cli.support.terminal import make_table, quantity, show, size

    numbers = ("predicted", "kept", "elements", "share")
    table = make_table(f"{options.model} by {options.ghn}", "part", *numbers, right=numbers)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    rows = _rows(sizes, report.kept)
    for part, row in {**rows, "total": _total(rows)}.items():
        share = _percent(row.predicted_elements, row.elements)
        style = "bold" if part == "total" else None
        table.add_row(part, str(row.predicted), str(row.kept), quantity(row.elements), share, style=style)
    show(table)
    if report.kept:
        show("", _kept_table(sizes, report.kept))
    seconds = sum(report.seconds.values())
    bytes_ = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    notes = [] if calibration is None else [f"calibrated: {note}" for note in calibration.notes]
    if calibration is None and norms_with_statistics(model):
        notes = _about_statistics(report.statistics)
    show(
        "",
        *([BY_MODULES] if report.traced_by == "modules" else []),
        f"{seconds:.2f} s",
        *notes,
        f"{options.output}: {len(tensors)} tensors, {size(bytes_)}{', held this very prediction' if again else ''}",
    )


def _about_statistics(report: StatisticsReport | None) -> list[str]:
    """What became of the statistics of a model that has some."""
    if report is None:
        return ["batch-norm statistics are not predicted: --calibrate DATA|FOLDER sets them"]
    return [str(report)] if report.reason is None else [str(report), "--calibrate DATA|FOLDER sets them"]


def _rows(sizes: Mapping[str, int], kept: Mapping[str, str]) -> dict[str, _Row]:
    """Sums by module, as deep in the hierarchy as `MAX_ROWS` allows."""
    modules = {name: name.split(".")[:-1] for name in sizes}
    depth = 1
    while depth < 8 and len({tuple(path[: depth + 1]) for path in modules.values()}) <= MAX_ROWS:
        depth += 1
    rows: dict[str, _Row] = {}
    for name, elements in sizes.items():
        row = rows.setdefault(".".join(modules[name][:depth]) or "(top level)", _Row())
        row.elements += elements
        if name in kept:
            row.kept += 1
        else:
            row.predicted += 1
            row.predicted_elements += elements
    return rows


def _total(rows: Mapping[str, _Row]) -> _Row:
    fields = ("predicted", "kept", "elements", "predicted_elements")
    return _Row(**{field: sum(getattr(row, field) for row in rows.values()) for field in fields})


def _percent(part: int, whole: int) -> str:
    """A share that says 100 % only of the whole and 0 % only of nothing."""
    value = 100 * part / whole if whole else 100.0
    if 99.9 < value < 100:
        value = math.floor(10 * value) / 10
    return f"{value:.1f} %" if value >= 0.1 or not part else "<0.1 %"


def _kept_table(sizes: Mapping[str, int], kept: Mapping[str, str]) -> Table:
    """The parameters that keep the model's own initialisation, by reason."""
    from ghn.cli.support.terminal import make_table, quantity
    from ghn.common.text import printable

    names: dict[str, list[str]] = {}
    for name, reason in kept.items():
        names.setdefault(reason, []).append(name)
    numbers = ("tensors", "elements")
    table = make_table("kept at the model's own initialisation", "reason", *numbers, "names", right=numbers)
    for reason, members in sorted(names.items(), key=lambda item: -sum(sizes[name] for name in item[1])):
        listed = "\n".join(map(printable, members[:MAX_NAMES])) + ("\n…" if len(members) > MAX_NAMES else "")
        table.add_row(reason, str(len(members)), quantity(sum(sizes[name] for name in members)), listed)
    return table
