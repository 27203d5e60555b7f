"""`ghn deepnets`: list, describe and draw the random architectures that hypernetworks are trained and tested on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class Options:
    """List the splits of DeepNets-1M, summarise one, or describe a network.

    Attributes:
        split: train, val, test, wide, deep, dense, bnfree or search; None lists them.
        index: Number of an architecture to describe; None summarises the split.
        count: Architectures to summarise, from the first on.
        image_size: Side of the images in pixels.
        num_classes: Outputs of the networks.
        seed: Of the whole data set.
        output: A .json file for the result, or, with an index, a .svg or .dot file for a drawing of the graph.
        json: Print JSON instead of tables.
    """

    split: Annotated[Positional[str | None], arg(metavar="SPLIT")] = None
    index: Annotated[Positional[int | None], arg(metavar="INDEX")] = None
    count: Annotated[int, arg(metavar="N")] = 100
    image_size: Annotated[int, arg(metavar="PIXELS")] = 32
    num_classes: Annotated[int, arg(metavar="N")] = 10
    seed: Annotated[int, arg(metavar="N")] = 1
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    json: bool = False


def run(options: Options) -> None:
    """Run the command.

    Raises:
        ValueError: In one line, for whatever the user can mend.
    """
    if options.split is None:
        _list(options)
    elif options.index is None:
        _summarise(options)
    else:
        _describe(options)


def _list(options: Options) -> None:
    from ghn.cli.terminal import make_table, show
    from ghn.deepnets import SPLITS

    rows = [
        {"split": split.name, "architectures": split.size, "cells": list(split.cells), "batch_norm": split.batch_norm}
        for split in SPLITS.values()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    table = make_table("splits of DeepNets-1M", "split", "architectures", "cells", right=("architectures", "cells"))
    for split in SPLITS.values():
        table.add_row(split.name, f"{split.size:,}", f"{split.cells[0]} to {split.cells[1]}")
    show(table, "", "summarise one: ghn deepnets SPLIT; describe an architecture: ghn deepnets SPLIT INDEX")


def _summarise(options: Options) -> None:
    from ghn.cli.terminal import Steps, make_table, show
    from ghn.deepnets.sample import split_named
    from ghn.deepnets.statistics import summarise

    assert options.split is not None
    count = min(options.count, split_named(options.split).size)
    with Steps(quiet=options.json).step(f"building {count} graphs of {options.split}"):
        found = summarise(
            options.split, count, options.seed, image_size=options.image_size, num_classes=options.num_classes
        )
    _write(options, found.to_dict())
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
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


def _describe(options: Options) -> None:
    from ghn.cli.terminal import make_table, quantity, show
    from ghn.deepnets import DeepNets
    from ghn.deepnets.cost import megamacs
    from ghn.deepnets.plan import plan_network

    assert options.split is not None
    assert options.index is not None
    deepnets = DeepNets(options.split, options.image_size, options.num_classes, seed=options.seed)
    if not 0 <= options.index < len(deepnets):
        raise ValueError(f"{options.split} has architectures 0 to {len(deepnets) - 1}, not {options.index}")
    arguments = deepnets.arguments(options.index)
    graph = deepnets.graph(arguments)
    parameters = sum(parameter.numel() for parameter in deepnets.network(arguments).parameters())
    cost = megamacs(plan_network(arguments, options.num_classes, options.image_size))
    record = {
        "split": options.split,
        "index": options.index,
        "net_args": arguments.to_dict(),
        "nodes": len(graph),
        "edges": len(graph.edges),
        "parameters": parameters,
        "megamacs": cost,
    }
    if options.output is not None and options.output.suffix != ".json":
        from ghn.cli.files import check_writable
        from ghn.graph.draw import WRITERS, save

        check_writable(options.output, tuple(WRITERS))
        save(graph, options.output)
    else:
        _write(options, record)
    if options.json:
        print(json.dumps(record, indent=2))
        return
    table = make_table(f"architecture {options.index} of {options.split}", "", "")
    table.show_header = False
    for name, value in arguments.to_dict().items():
        if name != "genotype":
            table.add_row(name, str(value))
    for cell in ("normal", "reduce"):
        edges = arguments.to_dict()["genotype"][cell]
        table.add_row(f"{cell} cell", ", ".join(f"{operation}({state})" for operation, state in edges))
    table.add_row("graph", f"{len(graph)} nodes, {len(graph.edges)} edges")
    table.add_row("parameters", quantity(parameters))
    table.add_row("multiply-adds", f"{quantity(int(cost * 1e6))} for an image")
    show(table)


def _write(options: Options, record: dict[str, object]) -> None:
    from ghn.cli.files import check_writable, replaced

    if options.output is None:
        return
    check_writable(options.output, (".json",))
    with replaced(options.output) as file:
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
