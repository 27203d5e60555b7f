"""How long it takes to initialise a model: tracing, encoding, decoding, writing, and memory.

    python benchmarks/predict.py                                 # GHN-3-T and -XL on the models of the claim
    python benchmarks/predict.py --ghn ghn3-t --models all       # every torchvision classifier

Each model is measured in a process of its own, after one warm-up prediction, as the least of several runs. `ratio` is
to the model's own constructor. `floor` is the time of the bytes written at the bandwidth of memory plus the time of the
decoder's arithmetic at the rate of a matrix product, both measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CLAIMED = {
    "ghn3-t": {"resnet50": 0.6, "densenet201": 0.8, "efficientnet_v2_l": 2.9, "vit_b_16": 0.7},
    "ghn3-xl": {"resnet50": 4.2, "efficientnet_b0": 10.6, "convnext_base": 15.3, "vit_b_16": 4.4},
}
"""Seconds that the released code takes on two CPU cores."""

COLUMNS = {
    "ghn": "",
    "model": "",
    "parameters_m": ".1f",
    "nodes": "d",
    "trace_ms": ".0f",
    "encode_ms": ".0f",
    "decode_ms": ".0f",
    "write_ms": ".0f",
    "total_ms": ".0f",
    "floor_ms": ".0f",
    "constructor_ms": ".0f",
    "ratio": ".2f",
    "released_ms": ".0f",
    "speedup": ".1f",
    "peak_mb": ".0f",
}


def measure(preset: str, name: str, repeats: int) -> dict[str, Any]:
    """Time one model; meant to run in a fresh process."""
    import torch
    import torchvision  # noqa: F401 (its import is no part of the constructor's time)

    import ghn
    from ghn.hypernet.plan import Plan
    from ghn.zoo import ModelRequest, build_model

    began = time.perf_counter()
    model = build_model(ModelRequest(name=name)).model
    constructor = time.perf_counter() - began
    torch.manual_seed(0)
    hypernet = ghn.GHN(ghn.GHNConfig.preset(preset)).eval()
    before = memory_mb(reset=True)
    reports = [hypernet.initialize(model) for _ in range(repeats + 1)][1:]
    peak = memory_mb() - before
    best = min(reports, key=lambda report: sum(report.seconds.values()))
    graph = ghn.trace(model)
    plan = Plan.of([graph.parameters], [len(graph)], hypernet.config)
    return {
        "ghn": preset,
        "model": name,
        "parameters_m": sum(p.numel() for p in model.parameters()) / 1e6,
        "nodes": len(graph),
        **{f"{short}_ms": 1e3 * best.seconds[part] for short, part in PARTS.items()},
        "total_ms": 1e3 * sum(best.seconds.values()),
        "constructor_ms": 1e3 * constructor,
        "peak_mb": peak,
        "fraction": best.fraction,
        "bytes": sum(model.get_parameter(key).nbytes for key in best.predicted),
        "operations": operations(plan, hypernet.config),
    }


PARTS = {"trace": "tracing", "encode": "encoding", "decode": "decoding", "write": "writing"}


def memory_mb(*, reset: bool = False) -> float:
    """Largest resident memory since the last reset, in MB; with `reset`, what is resident now (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) / 1024


def operations(plan: Any, config: Any) -> float:
    """Multiply-adds ×2 of the decoder's last two layers and its trunk, on the crops that are needed."""
    D, total = config.hidden, 0.0
    for group in plan.kernels:
        crop, count = group.crop, len(group.members)
        positions = crop.height * crop.width
        total += 2 * count * positions * (D * 4 * D + 4 * D * 8 * D + 8 * D * crop.elements / positions)
    return total


def main() -> None:
    """Measure every model and save the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ghn", nargs="+", default=list(CLAIMED))
    parser.add_argument("--models", nargs="+", help="torchvision names, or `all`; default: those of the claim")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("GHN", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], options.one[1], options.repeats)))
        return
    from benchmarks.common import floor, markdown, save

    rows = []
    hardware = floor()
    for preset in options.ghn:
        for name in names(preset, options.models):
            command = [
                sys.executable,
                "-m",
                "benchmarks.predict",
                "--one",
                preset,
                name,
                "--repeats",
                str(options.repeats),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{preset} {name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            row = json.loads(done.stdout)
            arithmetic = row["operations"] / hardware["operations_per_second"]
            row["floor_ms"] = 1e3 * (row["bytes"] / hardware["bytes_per_second"] + arithmetic)
            row["ratio"] = row["total_ms"] / row["constructor_ms"]
            released = CLAIMED.get(preset, {}).get(name)
            if released is not None:
                row |= {"released_ms": 1e3 * released, "speedup": 1e3 * released / row["total_ms"]}
            rows.append(row)
            print(
                " ".join(f"{key}={format(row[key], spec)}" for key, spec in COLUMNS.items() if key in row), flush=True
            )
    total, constructors = sum(r["total_ms"] for r in rows), sum(r["constructor_ms"] for r in rows)
    summary = f"All together {total / 1e3:.1f} s, {total / constructors:.2f} × their constructors."
    print(summary, save("predict", rows, table=f"{markdown(rows, COLUMNS)}\n\n{summary}", extra={"floor": hardware}))


def names(preset: str, models: list[str] | None) -> list[str]:
    """Models to measure."""
    if not models:
        return list(CLAIMED.get(preset, CLAIMED["ghn3-t"]))
    if models == ["all"]:
        import torchvision

        return torchvision.models.list_models(torchvision.models)
    return models


if __name__ == "__main__":
    main()
