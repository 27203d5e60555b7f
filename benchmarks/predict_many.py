"""Networks a second: many models initialised at once against one by one.

    python -m benchmarks.predict_many                              # DeepNets-1M and torchvision's classifiers, GHN-3-T
    python -m benchmarks.predict_many --deepnets 64 --models resnet18 resnet50

Rows with `traced` give each model's time from the model itself; the others from graphs that were there before (those of
DeepNets-1M are known without tracing). Both ways take turns in one process; times are the least of several rounds. The
largest difference is relative to a tensor's largest element.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import ghn
from benchmarks.common import markdown, save
from ghn.deepnets import DeepNets
from ghn.zoo import ModelRequest, build_model

COLUMNS = {"networks": "", "count": "d", "nodes": ".0f", "traced": "", "max_nodes": "d"}
COLUMNS |= {"one_by_one_per_s": ".1f", "at_once_per_s": ".1f", "ratio": ".2f", "largest_difference": ".0e"}

SMALL: tuple[str, ...] = (
    "resnet18",
    "resnet50",
    "mobilenet_v3_large",
    "efficientnet_b0",
    "regnet_y_400mf",
    "squeezenet1_1",
)
SMALL += ("shufflenet_v2_x1_0", "mnasnet1_0", "vit_b_16", "googlenet", "densenet121", "convnext_tiny")


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""`cpu`: seconds of this process's processors, which other work on the machine changes less."""


def seconds_of(ways: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Least seconds of each way over rounds in changing order, after one that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in list(ways) if number % 2 else reversed(ways):
            began = clock()
            ways[name]()
            found[name].append(clock() - began)
    return {name: min(times[1:]) for name, times in found.items()}


def largest_difference(found: Sequence[dict[str, Tensor]], expected: Sequence[dict[str, Tensor]]) -> float:
    """Of two ways' predictions, relative to a tensor's largest element."""
    return max(
        float((weights[name] - tensor).abs().max() / tensor.abs().max().clamp_min(1e-30))
        for weights, alone in zip(found, expected, strict=True)
        for name, tensor in alone.items()
    )


def measure(
    what: str,
    hypernet: ghn.GHN,
    models: Sequence[nn.Module],
    graphs: Sequence[Any],
    max_nodes: int,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Two rows: from graphs, and from models."""
    rows = []
    for traced in (False, True):
        given = None if traced else graphs
        ways: dict[str, Callable[[], Any]] = {
            "alone": lambda given=given: [  # type: ignore[misc]
                hypernet.predict(model, graph=None if given is None else graph)
                for model, graph in zip(models, graphs, strict=True)
            ],
            "at once": lambda given=given: hypernet.predict_many(models, graphs=given, max_nodes=max_nodes),  # type: ignore[misc]
        }
        seconds = seconds_of(ways, options.rounds, CLOCKS[options.clock])
        rows.append(
            {
                "networks": what,
                "count": len(models),
                "nodes": sum(map(len, graphs)) / len(graphs),
                "traced": "traced" if traced else "",
                "max_nodes": max_nodes,
                "one_by_one_per_s": len(models) / seconds["alone"],
                "at_once_per_s": len(models) / seconds["at once"],
                "ratio": seconds["alone"] / seconds["at once"],
                "largest_difference": largest_difference(ways["at once"](), ways["alone"]()),
            }
        )
        print(" ".join(f"{key}={rows[-1][key]:{spec}}" for key, spec in COLUMNS.items()), flush=True)
    return rows


def main() -> None:
    """Measure and save the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ghn", default="ghn3-t", help="preset")
    parser.add_argument("--deepnets", type=int, default=32, help="networks of the training split")
    parser.add_argument("--models", nargs="*", default=list(SMALL), help="torchvision names")
    parser.add_argument("--max-nodes", type=int, nargs="+", default=[4096])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS))
    parser.add_argument("--no-save", action="store_true", help="write no result file")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    torch.manual_seed(0)
    if options.deepnets:
        small = ghn.GHN(ghn.GHNConfig.preset(options.ghn, num_classes=10)).eval()
        drawn = [DeepNets("train")[index] for index in range(options.deepnets)]
        models, graphs = [item.network for item in drawn], [item.graph for item in drawn]
        for max_nodes in options.max_nodes:
            rows += measure("DeepNets-1M", small, models, graphs, max_nodes, options)
    if options.models:
        large = ghn.GHN(ghn.GHNConfig.preset(options.ghn)).eval()
        built = [build_model(ModelRequest(name=name)).model for name in options.models]
        traced = [ghn.trace(model) for model in built]
        for max_nodes in options.max_nodes:
            rows += measure("torchvision", large, built, traced, max_nodes, options)
    table = markdown(rows, COLUMNS)
    print(table)
    if not options.no_save:
        print(save("predict_many", rows, table=table, extra={"models": options.models}))


if __name__ == "__main__":
    main()
