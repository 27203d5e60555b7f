"""What a step of meta-training costs, by part, against the floor: the same target networks with plain parameters.

python -m benchmarks.meta_training --meta-batch 8 --images 64
python -m benchmarks.meta_training --compare      # GHN-3 against GHN-2 and MLP; memory of every preset
python -m benchmarks.meta_training --sweep        # cost against m, N and D

Everything that is compared takes turns within one process, step by step and in changing order, so that whatever else
the machine does meets all alike; a step and its floor too, of which whoever comes first makes the kernels for shapes
that are new. Numbers are medians over the steps; ratios are ratios of medians, but that of a step to its floor, which
is the median of the steps' own. On a machine with other work, `--clock cpu` counts the seconds in which the process
computes (all its threads) instead of those that pass.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.common import markdown, save
from ghn.deepnets import SPLITS, MetaBatch
from ghn.hypernet import PRESETS, GHNConfig
from ghn.hypernet.batch import GraphBatch
from ghn.meta.config import MetaTrainingConfig, Space
from ghn.meta.run import make_targets, meta_batches
from ghn.meta.stepper import MetaWork, meta_trainer
from ghn.model import GHN
from ghn.training.precision import autocast
from ghn.training.ranks import Ranks

PARTS = ("loading", "hypernet_forward", "target_forward", "target_backward", "hypernet_backward", "optimizer")
HYPERNET = ("hypernet_forward", "hypernet_backward", "optimizer")
BYTES_PER_PARAMETER = 16
"""Of training: a parameter, its gradient and two moments, in float32."""


class Contender:
    """A run of which single steps are timed.

    Args:
        config: The run.
        device: Where it computes.
        clock: "wall", or "cpu" for the time in which this process computes.
        cells: Least and most cells of its networks, where they are not those of the training split.
    """

    def __init__(
        self, config: MetaTrainingConfig, device: torch.device, clock: str, cells: tuple[int, int] | None = None
    ) -> None:
        torch.manual_seed(0)
        self.config, self.device = config, device
        self.trainer = meta_trainer(config, GHN(config.hypernet).to(device), Ranks(device=device))
        if clock == "cpu":
            self.trainer.clock = time.process_time  # type: ignore[method-assign]
        self.clock = self.trainer.clock
        self.batches = meta_batches(config, config.space)
        if cells is not None:
            self.batches.deepnets.split = replace(SPLITS["train"], cells=cells)
        images = torch.randn(config.images, 3, config.image_size, config.image_size, device=device)
        labels = torch.randint(0, 10, (config.images,), device=device)
        self.batch = images.contiguous(memory_format=torch.channels_last), labels

    def step(self, number: int, *, floor: bool = False, encoder: bool = False) -> dict[str, float]:
        """Seconds of one step by part, and what was asked for besides.

        Args:
            number: Which meta-batch; equal ones hold the same networks for configs with the same space, seed and m.
            floor: Also time the same networks with plain parameters, before the step or after it by turns.
            encoder: Also time the encoder alone, forwards and backwards.
        """
        began = self.clock()
        drawn = self.batches[number]
        # Drawing and graphs are made by data-loader workers; the training process builds the networks.
        seconds = {"drawing": self.clock() - began}
        began = self.clock()
        targets = make_targets(drawn, self.config, self.device)
        seconds["loading"] = self.clock() - began
        first = floor and number % 2 == 1
        if first:
            seconds["floor"] = floor_of(drawn, self.config, self.batch, self.device, self.clock)
        report = self.trainer.step(MetaWork(targets=targets, batches=[self.batch] * len(targets)))
        if report.units != len(targets):
            raise MemoryError(f"{report.out_of_memory} of {len(targets)} networks had no memory; lower --images")
        seconds |= report.seconds
        seconds["step"] = sum(seconds[part] for part in PARTS)
        seconds["hypernet"] = sum(seconds[part] for part in HYPERNET)
        seconds["nodes"] = sum(map(len, drawn.graphs)) / len(drawn)
        if floor:
            if not first:
                seconds["floor"] = floor_of(drawn, self.config, self.batch, self.device, self.clock)
            seconds["ratio"] = seconds["step"] / seconds["floor"]
        if encoder:
            seconds["encoder"] = self._encoder(drawn)
        return seconds

    def _encoder(self, drawn: MetaBatch) -> float:
        hypernet = self.trainer.stepper.module
        assert isinstance(hypernet, GHN)
        batch = GraphBatch.from_graphs(drawn.graphs).to(self.device)
        began = self.clock()
        hypernet.encode(batch).sum().backward()
        return self.clock() - began


def take_turns(contenders: Mapping[str, Contender], steps: int, **asked: bool) -> dict[str, dict[str, float]]:
    """Medians for each contender over steps in changing order, after one that is not counted."""
    names = list(contenders)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(steps + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            rows[name].append(contenders[name].step(number, **asked))
        print(f"step {number} of {steps} done", file=sys.stderr, flush=True)
    return {
        name: {key: statistics.median(row[key] for row in rows[name][1:]) for key in rows[name][0]} for name in names
    }


def floor_of(
    drawn: MetaBatch,
    config: MetaTrainingConfig,
    batch: tuple[Tensor, Tensor],
    device: torch.device,
    clock: Callable[[], float],
) -> float:
    """Seconds of forward and backward passes of the same networks, their parameters plain leaves."""
    networks = []
    for target in make_targets(drawn, config, device):
        network = target.network.to_empty(device=device)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        networks.append((network, target.precision))
    began = clock()
    for network, precision in networks:
        with autocast(device, precision):
            scores = network(batch[0])
        functional.cross_entropy(scores.float(), batch[1]).backward()
    return clock() - began


def compare(config: MetaTrainingConfig, arguments: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Time of the presets that take turns, relative to the first; memory of presets in processes of their own."""
    contenders = {name: Contender(with_preset(config, name), device, arguments.clock) for name in arguments.presets}
    times = take_turns(contenders, arguments.steps, encoder=True)
    base = times[arguments.presets[0]]
    rows = []
    for preset in dict.fromkeys((*arguments.presets, *arguments.memory_presets)):
        parameters = parameter_count(preset)
        row: dict[str, Any] = {"preset": preset, "parameters_m": parameters / 1e6}
        row["state_gb"] = parameters * BYTES_PER_PARAMETER / 1e9
        if preset in times:
            row |= times[preset]
            for part in ("hypernet", "encoder", "step"):
                row[f"{part}_ratio"] = row[part] / base[part]
        if preset in arguments.memory_presets:
            row["memory_gb"] = memory_of(preset, arguments, None)
            row["memory_gb_accumulate_1"] = memory_of(preset, arguments, 1)
        print(row, flush=True)
        rows.append(row)
    return rows


def parameter_count(preset: str) -> int:
    """Trainable parameters for CIFAR-10, without storage for them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in GHN(GHNConfig.preset(preset, num_classes=10)).parameters())


def memory_of(preset: str, arguments: argparse.Namespace, accumulate: int | None) -> float:
    """Greatest memory in GB of two steps in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.meta_training", "--preset", preset, "--steps", "1", "--no-save"]
    command += ["--meta-batch", str(arguments.meta_batch), "--images", str(arguments.images), "--no-floor"]
    command += ["--precision", arguments.precision, "--device", arguments.device]
    command += ["--accumulate", str(accumulate)] if accumulate else []
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(dict(line.split("=") for line in output.splitlines() if "=" in line)["memory_gb"])


def memory_gb(device: torch.device) -> float:
    """Greatest memory so far: of the device, or on the CPU of the process, libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    # ru_maxrss is inherited over fork and exec, VmHWM is of this program alone.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def sweep(config: MetaTrainingConfig, arguments: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Cost of the hypernetwork against m, N and D, one at a time, relative to the first of each."""
    four, clock = replace(config, meta_batch=4), arguments.clock
    groups = {
        "m": {f"m = {m}": Contender(replace(config, meta_batch=m), device, clock) for m in (1, 2, 4, 8)},
        "N": {f"{n} cells": Contender(four, device, clock, (n, n)) for n in (4, 8, 16)},
        "D": {
            f"D = {hidden}": Contender(replace(four, hypernet=replace(config.hypernet, hidden=hidden)), device, clock)
            for hidden in (32, 64, 128)
        },
    }
    times = take_turns({name: item for group in groups.values() for name, item in group.items()}, arguments.steps)
    rows = []
    for group in groups.values():
        first = times[next(iter(group))]
        for name, contender in group.items():
            row: dict[str, Any] = {"case": name, **times[name]}
            row["hypernet_per_network"] = row["hypernet"] / contender.config.meta_batch
            row["hypernet_ratio"] = row["hypernet"] / first["hypernet"]
            row["step_ratio"] = row["step"] / first["step"]
            rows.append(row)
            print(row, flush=True)
    return rows


def with_preset(config: MetaTrainingConfig, preset: str) -> MetaTrainingConfig:
    """The run with another hypernetwork, and that one's regulariser."""
    penalty = 3e-5 if preset.startswith("ghn3") else 0.0
    return replace(config, hypernet=GHNConfig.preset(preset, num_classes=10), penalty=penalty)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meta-batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--preset", default="ghn3-t", choices=list(PRESETS))
    parser.add_argument("--presets", nargs="+", default=["ghn3-t", "ghn3-s", "ghn2", "mlp"], choices=list(PRESETS))
    parser.add_argument(
        "--memory-presets",
        nargs="*",
        default=["ghn3-t", "ghn3-s", "ghn3-l", "ghn2", "mlp"],
        choices=list(PRESETS),
        help="presets whose memory is measured by --compare; ghn3-xl needs 9.2 GB for its state alone",
    )
    parser.add_argument("--accumulate", type=int, default=None)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--max-megamacs", type=float, default=None)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--no-floor", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    device = torch.device(arguments.device)
    config = MetaTrainingConfig(
        space=Space(max_megamacs=arguments.max_megamacs),
        meta_batch=arguments.meta_batch,
        images=arguments.images,
        precision=arguments.precision,
        accumulate=arguments.accumulate,
    )
    config = with_preset(config, arguments.preset)
    kind = "computing (cpu)" if arguments.clock == "cpu" else "passing (wall clock)"
    extra = {
        "images": arguments.images,
        "note": f"seconds {kind}, medians over the steps; what is compared takes turns in one process, step by step, "
        "and ratios are of medians; load_before is what other work the machine had",
    }
    if not arguments.sweep:
        extra["meta_batch"] = arguments.meta_batch
    if arguments.compare:
        keep("meta_training_presets", compare(config, arguments, device), "preset", arguments, extra)
    elif arguments.sweep:
        keep("meta_training_sweep", sweep(config, arguments, device), "case", arguments, extra)
    else:
        contender = Contender(config, device, arguments.clock)
        row = take_turns({"": contender}, arguments.steps, floor=not arguments.no_floor)[""]
        row["memory_gb"] = memory_gb(device)
        for name, value in row.items():
            print(f"{name}={value:.4f}")
        keep("meta_training", [{"preset": arguments.preset, **row}], "preset", arguments, extra)


def keep(
    name: str, rows: list[dict[str, Any]], first: str, arguments: argparse.Namespace, extra: dict[str, Any]
) -> None:
    """Save the rows, the table with every column that some row has."""
    if arguments.no_save:
        return
    columns = dict.fromkeys((*PARTS, "drawing", "floor", "step", "hypernet", "hypernet_per_network", "encoder"), ".3f")
    columns |= dict.fromkeys(("ratio", "hypernet_ratio", "encoder_ratio", "step_ratio"), ".2f")
    columns |= {"nodes": ".0f", "parameters_m": ".1f"}
    columns |= dict.fromkeys(("state_gb", "memory_gb", "memory_gb_accumulate_1"), ".2f")
    used = {key: form for key, form in columns.items() if any(key in row for row in rows)}
    table = "\n".join([*(f"- {key}: {value}" for key, value in extra.items()), "", markdown(rows, {first: "", **used})])
    save(name, rows, table=table, extra=extra)


if __name__ == "__main__":
    main()
