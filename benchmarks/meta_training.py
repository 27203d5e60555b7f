"""What a step of meta-training costs, by part, against the floor: the same target networks with plain parameters.

python -m benchmarks.meta_training --meta-batch 8 --images 64
python -m benchmarks.meta_training --compare      # GHN-3 against GHN-2 and MLP, memory and time of every preset
python -m benchmarks.meta_training --sweep        # cost against m, N and D
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from benchmarks.common import markdown, save
from ghn.hypernet import GHN, PRESETS, GHNConfig
from ghn.train.architectures import Drawn
from ghn.train.config import MetaTrainingConfig, Space
from ghn.train.distributed import Ranks
from ghn.train.meta_training import MetaTrainer, target_precision
from ghn.train.run import architecture_stream, make_targets
from ghn.train.targets import autocast

PARTS = ("loading", "hypernet_forward", "target_forward", "target_backward", "hypernet_backward", "optimizer")


def measure(config: MetaTrainingConfig, steps: int, device: torch.device) -> dict[str, Any]:
    """Medians over steps, after one that is not counted, in seconds.

    The floor is measured right after each step on the same networks and images, so that both see the same machine.
    """
    torch.manual_seed(0)
    hypernet = GHN(config.hypernet).to(device)
    trainer = MetaTrainer(config, hypernet, Ranks(device=device))
    images = torch.randn(config.images, 3, config.image_size, config.image_size, device=device)
    batch = (
        images.contiguous(memory_format=torch.channels_last),
        torch.randint(0, 10, (config.images,), device=device),
    )
    stream = architecture_stream(config, config.space)
    rows = []
    nodes = []
    for step in range(steps + 1):
        # Drawing and graphs are made by data-loader workers; the training process builds the networks.
        began = time.perf_counter()
        drawn = stream[step]
        drawing = time.perf_counter() - began
        began = time.perf_counter()
        targets = make_targets(drawn, config, device)
        loading = time.perf_counter() - began
        report = trainer.step(targets, [batch] * len(targets))
        assert report.networks == len(targets)
        floor = floor_of(drawn, config, batch, device)
        nodes.append(sum(len(item.graph) for item in drawn))
        rows.append({"drawing": drawing, "loading": loading, **report.seconds, "floor": floor})
    medians = {name: statistics.median(row[name] for row in rows[1:]) for name in rows[0]}
    medians["step"] = statistics.median(sum(row[part] for part in PARTS) for row in rows[1:])
    medians["ratio"] = statistics.median(sum(row[part] for part in PARTS) / row["floor"] for row in rows[1:])
    return {**medians, "nodes": statistics.mean(nodes[1:]) / config.meta_batch}


def floor_of(
    drawn: Sequence[Drawn], config: MetaTrainingConfig, batch: tuple[torch.Tensor, torch.Tensor], device: torch.device
) -> float:
    """Seconds of forward and backward passes of the same networks, their parameters plain leaves."""
    networks = []
    for target in make_targets(drawn, config, device):
        network = target.network.to_empty(device=device)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        networks.append((network, target_precision(network, config, device)))
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for network, precision in networks:
        with autocast(device, precision):
            scores = network(batch[0])
        functional.cross_entropy(scores.float(), batch[1]).backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every preset in a process of its own, which gives its greatest memory."""
    rows = []
    for preset in arguments.presets:
        command = [sys.executable, "-m", "benchmarks.meta_training", "--preset", preset, "--no-save"]
        command += ["--meta-batch", str(arguments.meta_batch), "--images", str(arguments.images)]
        command += ["--steps", str(arguments.steps), "--precision", arguments.precision]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        values = dict(line.split("=") for line in output.splitlines() if "=" in line)
        rows.append({"preset": preset, **{name: float(value) for name, value in values.items()}})
        print(rows[-1], flush=True)
    return rows


def sweep(config: MetaTrainingConfig, steps: int, device: torch.device) -> list[dict[str, Any]]:
    """Cost against m, N and D, one at a time."""
    cases: list[tuple[str, MetaTrainingConfig]] = [(f"m={m}", replace(config, meta_batch=m)) for m in (1, 2, 4, 8)]
    for most in (80, 160, 300):
        space = replace(config.space, max_nodes=most, max_cells=4 if most == 80 else 18)
        cases.append((f"N<={most}", replace(config, space=space, meta_batch=4)))
    for hidden in (32, 64, 128):
        cases.append((f"D={hidden}", replace(config, hypernet=replace(config.hypernet, hidden=hidden), meta_batch=4)))
    rows = []
    for name, case in cases:
        rows.append({"case": name, **measure(case, steps, device)})
        print(rows[-1], flush=True)
    return rows


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meta-batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--preset", default="ghn3-t", choices=list(PRESETS))
    parser.add_argument("--presets", nargs="+", default=["ghn3-t", "ghn3-s", "ghn2", "mlp"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--max-megamacs", type=float, default=None)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    device = torch.device(arguments.device)
    config = MetaTrainingConfig(
        hypernet=GHNConfig.preset(arguments.preset, num_classes=10),
        space=Space(max_megamacs=arguments.max_megamacs),
        meta_batch=arguments.meta_batch,
        images=arguments.images,
        precision=arguments.precision,
        penalty=3e-5 if arguments.preset.startswith("ghn3") else 0.0,
    )
    formats = dict.fromkeys((*PARTS, "drawing", "floor", "step"), ".3f") | {"ratio": ".2f", "nodes": ".0f"}
    if arguments.compare:
        rows = compare(arguments)
        save("meta_training_presets", rows, table=markdown(rows, {"preset": "", **formats, "memory_gb": ".2f"}))
        return
    if arguments.sweep:
        rows = sweep(config, arguments.steps, device)
        save("meta_training_sweep", rows, table=markdown(rows, {"case": "", **formats}))
        return
    row = measure(config, arguments.steps, device)
    row["memory_gb"] = (
        torch.cuda.max_memory_allocated() / 1e9
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    )
    for name, value in row.items():
        print(f"{name}={value:.4f}")
    if not arguments.no_save:
        extra = {"preset": arguments.preset, "meta_batch": arguments.meta_batch, "images": arguments.images}
        save("meta_training", [row], table=markdown([row], {**formats, "memory_gb": ".2f"}), extra=extra)


if __name__ == "__main__":
    main()
