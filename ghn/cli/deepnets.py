"""`ghn deepnets`: list, describe and draw the random architectures that hypernetworks are trained and tested on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional

from ghn.cli.support.options import Force, Json, Output, Quiet, Seed, check_seen, option
from ghn.cli.support.results import print_json
from ghn.common.progress import Bar

if TYPE_CHECKING:
    from ghn.deepnets import DeepNets
    from ghn.graph.computational_graph import ComputationalGraph

PREDEFINED = "predefined"
"""The split of networks that people designed."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """List the splits of DeepNets-1M, summarise one, or describe a network.

    Attributes:
        split: train, val, test, wide, deep, dense, bnfree, search or predefined (ResNet-50 and a vision transformer).
        index: Number of an architecture to describe.
        count: Architectures to summarise, from the first on.
        image_size: Side of the images in pixels.
        num_classes: Outputs of the networks.
        metadata: Published JSON file to take the split from.
        output: A .json file for the result, or, with an index, a .svg, .png, .pdf or .dot file for a drawing.
    """

    split: Annotated[Positional[str | None], option("SPLIT", default="list them")] = None
    index: Annotated[Positional[int | None], option("INDEX", default="summarise the split")] = None
    count: Annotated[int, option("N")] = 100
    image_size: Annotated[int, option("PIXELS")] = 32
    num_classes: Annotated[int, option("N")] = 10
    seed: Seed = 1
    metadata: Annotated[Path | None, option("FILE", default="drawn by the seed")] = None
    output: Output = None
    force: Force = False
    quiet: Quiet = False
    json: Json = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    with Bar("loading libraries", quiet=options.quiet):
        _check(options)
    if options.split is None:
        _list(options)
    elif options.index is not None:
        _describe(options)
    elif options.split == PREDEFINED:
        _compare(options)
    else:
        _summarise(options)


def _check(options: Options) -> None:
    """Refuse what cannot be, before the work starts."""
    check_seen(quiet=options.quiet, json=options.json, kept=options.output is not None)
    from ghn.cli.support.files import check_writable
    from ghn.deepnets import SPLITS
    from ghn.draw.save import WRITERS

    if options.split not in (None, *SPLITS, PREDEFINED):
        raise ValueError(f"unknown split {options.split!r}; there are {', '.join(SPLITS)}, {PREDEFINED}")
    if options.count < 1:
        raise ValueError(f"--count must be at least 1, not {options.count}")
    if options.output is not None:
        check_writable(options.output, (".json",) if options.index is None else tuple(WRITERS), force=options.force)


def _list(options: Options) -> None:
    from ghn.cli.support.terminal import make_table, show
    from ghn.deepnets import SPLITS, Predefined

    rows: list[dict[str, Any]] = [
        {"split": split.name, "architectures": split.size, "cells": list(split.cells), "batch_norm": split.batch_norm}
        for split in SPLITS.values()
    ]
    rows.append({"split": PREDEFINED, "architectures": len(Predefined.names), "cells": None, "batch_norm": True})
    if _given(options, rows):
        return
    table = make_table("splits of DeepNets-1M", "split", "architectures", "cells", right=("architectures", "cells"))
    for row in rows:
        cells = "{} to {}".format(*row["cells"]) if row["cells"] else ""
        table.add_row(row["split"], f"{row['architectures']:,}", cells)
    show(table, "", "summarise one: ghn deepnets SPLIT; describe an architecture: ghn deepnets SPLIT INDEX")


def _summarise(options: Options) -> None:
    from ghn.cli.support.terminal import make_table, show
    from ghn.deepnets import summarise

    deepnets = _open(options)
    count = min(options.count, len(deepnets))
    with Bar(quiet=options.quiet) as bar:
        bar.begin(count, f"graphs of {options.split}")
        found = summarise(deepnets, count, progress=lambda: bar.advance(f"graphs of {options.split}"))
    if _given(options, found.to_dict()):
        return
    title = f"{found.split}: {found.count:,} of {found.size:,} architectures at {options.image_size} pixels"
    table = make_table(title, "", "mean ± std (range)")
    for name, spread in found.spreads().items():
        table.add_row(name.replace("_", " ") + (", M" if name == "parameters" else ""), str(spread))
    table.add_row("without batch norm", f"{100 * found.without_norm:.1f} %")
    table.add_row("vision transformers", f"{100 * found.transformers:.1f} %")
    operations = make_table("operations", "operation", "share", right=("share",))
    for name, share in found.operations.items():
        operations.add_row(name, f"{100 * share:.1f} %")
    show(table, "", operations)


def _compare(options: Options) -> None:
    """The predefined networks side by side, in place of statistics."""
    from ghn.cli.support.terminal import make_table, quantity, show
    from ghn.deepnets import Predefined

    with Bar("building the predefined networks", quiet=options.quiet):
        records = [_record(options, index)[0] for index, _ in enumerate(Predefined.names[: options.count])]
    found = {"split": PREDEFINED, "count": len(records), "size": len(Predefined.names), "networks": records}
    if _given(options, found):
        return
    numbers = ("index", "nodes", "edges", "parameters")
    table = make_table(
        f"{PREDEFINED}: {len(records)} networks at {options.image_size} pixels", "network", *numbers, right=numbers
    )
    for record in records:
        counts = (str(record[column]) for column in numbers[:-1])
        table.add_row(Predefined.names[record["index"]], *counts, quantity(record["parameters"]))
    show(table)


def _describe(options: Options) -> None:
    from ghn.cli.support.terminal import make_table, quantity, show
    from ghn.draw.save import save

    assert options.index is not None
    with Bar(f"building architecture {options.index} of {options.split}", quiet=options.quiet):
        record, graph = _record(options, options.index)
    if options.output is not None and options.output.suffix.lower() != ".json":
        save(graph, options.output)
        options = replace(options, output=None)
    if _given(options, record):
        return
    table = make_table(f"architecture {options.index} of {options.split}", "", "")
    table.show_header = False
    for name, value in record["net_args"].items():
        if name != "genotype":
            table.add_row(name, str(value))
    cells = record["net_args"].get("genotype", {})
    for cell in (name for name in ("normal", "reduce") if name in cells):
        table.add_row(f"{cell} cell", ", ".join(f"{operation}({state})" for operation, state in cells[cell]))
    table.add_row("graph", f"{len(graph)} nodes, {len(graph.edges)} edges")
    table.add_row("parameters", quantity(record["parameters"]))
    if record["megamacs"] is not None:
        table.add_row("multiply-adds", f"{quantity(int(record['megamacs'] * 1e6))} for an image")
    show(table)


def _open(options: Options) -> DeepNets:
    """The split that was asked for."""
    from ghn.deepnets import open_split

    assert options.split is not None
    return open_split(
        options.split, options.image_size, options.num_classes, seed=options.seed, metadata=options.metadata
    )


def _record(options: Options, index: int) -> tuple[dict[str, Any], ComputationalGraph]:
    """What there is to say of a network, and its graph."""
    from ghn.deepnets import Network, Predefined
    from ghn.deepnets.cost import megamacs

    deepnets: DeepNets | Predefined
    if options.split == PREDEFINED:
        deepnets = Predefined(options.image_size, options.num_classes)
    else:
        deepnets = _open(options)
    if not 0 <= index < len(deepnets):
        raise ValueError(f"{options.split} has architectures 0 to {len(deepnets) - 1}, not {index}")
    network, graph, net_args = deepnets[index]
    record = {
        "split": options.split,
        "index": index,
        "net_args": net_args,
        "nodes": len(graph),
        "edges": len(graph.edges),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        # Counted from a plan, which torchvision's ResNet-50 does not have.
        "megamacs": megamacs(network.plan) if isinstance(network, Network) else None,
    }
    return record, graph


def _given(options: Options, record: dict[str, Any] | list[dict[str, Any]]) -> bool:
    """Write and print the result as the options ask for; returns whether no table is to follow."""
    from ghn.cli.support.files import replaced

    if options.output is not None:
        with replaced(options.output) as file:
            file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print_json(record)
    return options.json or options.quiet
