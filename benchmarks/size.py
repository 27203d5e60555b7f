"""How tracing and prediction grow with the size of a model: families of models that are large in one way each.

    python -m benchmarks.size                                   # all families, 500 to 4,000 of everything
    python -m benchmarks.size --only chain nested --sizes 1000 10000 --no-save

Each is measured in a process of its own: seconds to trace it, to turn its graph into a batch, and to initialise it with
a hypernetwork that needs no pairs of nodes (MLP) or, on request, one that does. The exponent says how the time grows
between the two largest sizes: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from torch import nn

from benchmarks.common import markdown, save
from benchmarks.families import FAMILIES, WIDTH, example

COLUMNS = {
    "family": "",
    "size": ",d",
    "nodes": ",d",
    "trace": ".2f",
    "initialise": ".2f",
    "MB": ".0f",
    "exponent": ".2f",
}


def measure(family: str, n: int, encoder: str) -> dict[str, Any]:
    """Seconds and memory for one model, in this process."""
    import ghn

    ghn.trace(FAMILIES[family](2), example(family, 2))
    hypernet = ghn.GHN(ghn.GHNConfig.preset("ghn3-t" if encoder == "graphormer" else encoder))
    hypernet.initialize(nn.Linear(WIDTH, WIDTH), torch.empty(2, WIDTH))
    model, inputs = FAMILIES[family](n), example(family, n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    graph = ghn.trace(model, inputs)
    traced = time.process_time()
    hypernet.initialize(model, inputs, graph=graph)
    return {
        "nodes": len(graph),
        "traced by": graph.traced_by,
        "predicted": len(graph.parameters),
        "trace": traced - began,
        "initialise": time.process_time() - traced,
        "MB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--sizes", nargs="+", type=int, default=[500, 1000, 2000, 4000])
    parser.add_argument("--encoder", choices=["mlp", "ghn2", "graphormer"], default="mlp")
    parser.add_argument("--limit", type=float, default=100, help="seconds, beyond which a larger size is not tried")
    parser.add_argument("--no-save", action="store_true", help="write no result file")
    parser.add_argument("--one", nargs=2, metavar=("FAMILY", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]), options.encoder)))
        return
    rows: list[dict[str, Any]] = []
    for family in options.only:
        last: dict[str, Any] | None = None
        for size in options.sizes:
            row = _in_a_process(family, size, options.encoder, options.limit)
            if last and row.get("trace"):
                spent = [each["trace"] + each["initialise"] for each in (last, row)]
                row["exponent"] = math.log(spent[1] / spent[0]) / math.log(size / last["size"])
            rows.append(row)
            print(
                " ".join(f"{key} {row[key]:{spec}}" for key, spec in COLUMNS.items() if key in row),
                row.get("error", ""),
                flush=True,
            )
            if "error" in row:
                break
            last = row
    if not options.no_save:
        save("size", rows, table=markdown(rows, COLUMNS))


def _in_a_process(family: str, size: int, encoder: str, limit: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.size", "--one", family, str(size), "--encoder", encoder]
    row: dict[str, Any] = {"family": family, "size": size}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {**row, "error": f"over {limit:g} s"}
    if done.returncode:
        return {**row, "error": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}
    return {**row, **json.loads(done.stdout.splitlines()[-1])}


if __name__ == "__main__":
    main()
