"""DeepNets-1M: statistics of every split (table 3 of GHN-2), and what building a graph directly saves over tracing.

    python -m benchmarks.deepnets                        # images of 32 pixels
    python -m benchmarks.deepnets --image-size 224 --num-classes 1000

One table row a split: mean ± standard deviation (least to most) over its architectures (of train and search the first
`--count`). Times are seconds of the process for one graph, mean over the same architectures for both ways.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from benchmarks.common import markdown, save
from ghn.deepnets import SPLITS, DeepNets, summarise
from ghn.graph.trace import trace

TRACED = 10
COLUMNS = {
    "split": "",
    "architectures": "",
    "cells": "",
    "channels": "",
    "nodes": "",
    "parameters": "",
    "degree": "",
    "largest_degree": "",
    "path_length": "",
    "without_norm": ".1%",
    "transformers": ".1%",
    "direct_s": ".4f",
    "traced_s": ".4f",
    "ratio": ".0f",
}


def seconds_of_graphs(deepnets: DeepNets, count: int) -> dict[str, float]:
    """Mean seconds for a graph from the genotype, and for one traced from the network on the meta device."""
    images = torch.zeros(2, 3, deepnets.image_size, deepnets.image_size, device="meta")
    spent = {"direct_s": 0.0, "traced_s": 0.0}
    for index in range(count + 1):
        arguments = deepnets.arguments(index)
        began = time.process_time()
        deepnets.graph(arguments)
        middle = time.process_time()
        trace(deepnets.network(arguments), images)
        if index:  # the first warms up
            spent["direct_s"] += (middle - began) / count
            spent["traced_s"] += (time.process_time() - middle) / count
    return spent | {"ratio": spent["traced_s"] / spent["direct_s"]}


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="architectures of train and of search")
    parser.add_argument("--image-size", type=int, default=32, help="pixels")
    parser.add_argument("--num-classes", type=int, default=10)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    for name, split in SPLITS.items():
        deepnets = DeepNets(name, options.image_size, options.num_classes)
        found = summarise(deepnets, min(options.count, split.size))
        rows.append(
            {"split": name, "architectures": found.count, **found.to_dict(), **seconds_of_graphs(deepnets, TRACED)}
        )
        shown.append(rows[-1] | found.spreads())
        print(markdown(shown[-1:], COLUMNS).splitlines()[-1], flush=True)
    print(save(f"deepnets_{options.image_size}", rows, table=markdown(shown, COLUMNS)))


if __name__ == "__main__":
    main()
