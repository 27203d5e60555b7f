"""Named runs: the published recipes, and what a small machine can do.

Each says where it comes from, its command, how long it takes and what to expect. `ghn train NAME` runs it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ghn.hypernet.config import GHNConfig
from ghn.meta.config import MetaTrainingConfig, Space

IN_SMALL = {
    "ghn3-t-m8": (2.9, 1.1),
    "ghn3-t-m16": (6.4, 1.1),
    "ghn3-s-m8": (3.4, 1.8),
    "ghn3-s-m16": (8.4, 1.8),
    "ghn3-l-m8": (16.4, 5.7),
    "ghn3-l-m16": (30.6, 5.8),
    "ghn3-xl-m8": (73.9, 15.6),
    "ghn3-xl-m16": (68.3, 15.6),
    "ghn3-t-cifar10": (2.6, 1.0),
    "ghn2-cifar10": (2.8, 1.0),
    "mlp-cifar10": (2.4, 1.0),
}
"""Seconds a step and peak memory in GB on one processor core, with small networks and few images of CIFAR-10.

Of runs that nobody has done at their size with this library (`python -m benchmarks.named_runs`, 2026-11-27).
"""

IMAGENET_IMAGES = 1_281_167
CIFAR_IMAGES = 50_000


@dataclass(frozen=True, kw_only=True)
class NamedRun:
    """A run.

    Attributes:
        config: What it is made of.
        paper: Where it is from, or "ours".
        command: How to start it.
        time: How long it takes, and on what; after a semicolon what was not measured.
        result: What to expect.
    """

    config: MetaTrainingConfig
    paper: str
    command: str
    time: str
    result: str


def _steps(epochs: int, images: int, batch: int) -> int:
    return epochs * (images // batch)


def _in_small(name: str) -> str:
    seconds, gigabytes = IN_SMALL[name]
    return f"in small {seconds:.0f} s a step on a core, {gigabytes:.0f} GB"


def _ghn3_imagenet(size: str, meta_batch: int) -> NamedRun:
    name = f"ghn3-{size}-m{meta_batch}"
    return NamedRun(
        config=MetaTrainingConfig(
            hypernet=GHNConfig.preset(f"ghn3-{size}", num_classes=1000),
            data="imagenet",
            image_size=224,
            meta_batch=meta_batch,
            images=128,
            steps=_steps(75, IMAGENET_IMAGES, 128),
            learning_rate=4e-4,
            weight_decay=1e-2,
            label_smoothing=0.1,
            penalty=3e-5,
            warmup=0.01,
            clip=5.0,
            precision="float16",
            accumulate=2 if size in ("l", "xl") else None,
            save_every=1000,
            log_every=50,
            workers=4,
            image_workers=8,
        ),
        paper="GHN-3, Knyazev et al., ICML 2023, section 4 and table 1: 75 epochs on ImageNet",
        command=f"torchrun --nproc-per-node 8 -m ghn train {name} --output runs/{name} --data-root IMAGENET",
        time=f"{_in_small(name)}; not measured at its size, for which the paper trains for days on 4 to 8 A100 GPUs",
        result="hypernetworks comparable with the published ghn3 checkpoints",
    )


def _cifar(preset: str) -> NamedRun:
    name = f"{preset}-cifar10"
    is_ghn3 = preset.startswith("ghn3")
    batch = 128 if is_ghn3 else 64
    epochs = 75 if is_ghn3 else 300
    config = MetaTrainingConfig(
        hypernet=GHNConfig.preset(preset, num_classes=10),
        data="cifar10",
        hold_out=5000,
        meta_batch=8,
        images=batch,
        steps=_steps(epochs, CIFAR_IMAGES - 5000, batch),
        precision="bfloat16" if is_ghn3 else "float32",
        validate_every=2000,
        workers=4,
    )
    if not is_ghn3:
        config = replace(
            config,
            optimizer="adam",
            learning_rate=1e-3,
            weight_decay=1e-5,
            penalty=0.0,
            warmup=0.0,
            schedule="steps",
        )
    expected = {
        "ghn3-t": "not published for CIFAR-10",
        "ghn2": "66.9 ± 7.8 % on the test split without training the networks (table 1)",
        "mlp": "42.2 ± 13.9 % on the test split without training the networks (table 1)",
    }
    return NamedRun(
        config=config,
        paper="GHN-2, Knyazev et al., NeurIPS 2021, table 1" + (", with GHN-3's optimiser" if is_ghn3 else ""),
        command=f"ghn train {name} --output runs/{name} --data-root CIFAR10",
        time=f"{_in_small(name)}; not measured at its size, which needs a GPU",
        result=expected[preset],
    )


def _cifar_on_a_cpu(preset: str, steps: int, minutes: float | None, time: str, result: str) -> NamedRun:
    name = f"{preset}-cifar10-cpu"
    return NamedRun(
        config=MetaTrainingConfig(
            hypernet=GHNConfig.preset(preset, num_classes=10),
            data="cifar10",
            hold_out=5000,
            space=Space(max_megamacs=30.0, max_cells=9, attention=0.25),
            meta_batch=4,
            images=32,
            shared_images=False,
            steps=steps,
            minutes=minutes,
            learning_rate=2e-3,
            betas=(0.9, 0.99),
            warmup=0.03,
            clip=1.0,
            penalty=3e-5 if preset.startswith("ghn3") else 0.0,
            precision="bfloat16",
            save_every=100,
            log_every=25,
            validate_every=250,
            validation_networks=16,
            workers=1,
        ),
        paper="ours: small networks of DeepNets-1M (at most 9 cells and 30 M multiply-adds, a quarter of those with "
        "attention), so that a step takes less than a second on one core",
        command=f"OMP_NUM_THREADS=1 ghn train {name} --output runs/{name} --data-root CIFAR10",
        time=time,
        result=result,
    )


def _digits() -> NamedRun:
    return NamedRun(
        config=MetaTrainingConfig(
            hypernet=GHNConfig.preset("ghn3-t", num_classes=10),
            data="digits",
            space=Space(max_megamacs=20.0, max_cells=5, attention=0.0),
            meta_batch=2,
            images=16,
            shared_images=False,
            steps=20,
            learning_rate=1e-3,
            clip=1.0,
            validate_every=20,
            validation_networks=2,
        ),
        paper="ours: a smoke test that needs no download",
        command="ghn train digits-smoke --output runs/digits-smoke",
        time="half a minute on one CPU core",
        result="a falling loss; nothing is learnt in so few steps",
    )


RUNS: Mapping[str, NamedRun] = MappingProxyType(
    {
        **{f"ghn3-{size}-m{m}": _ghn3_imagenet(size, m) for size in ("t", "s", "l", "xl") for m in (8, 16)},
        **{f"{preset}-cifar10": _cifar(preset) for preset in ("ghn3-t", "ghn2", "mlp")},
        "ghn3-t-cifar10-cpu": _cifar_on_a_cpu(
            "ghn3-t",
            100_000,
            300.0,
            "five hours on one CPU core",
            "the card of the hypernetwork in the package: this run, with changes of its schedule on the way",
        ),
        **{
            f"{preset}-cifar10-cpu": _cifar_on_a_cpu(
                preset, 1500, None, "about 20 minutes on one CPU core", "for comparison with ghn3-t at equal steps"
            )
            for preset in ("ghn2", "mlp")
        },
        "digits-smoke": _digits(),
    }
)
"""The runs by name."""


def named_run(name: str) -> NamedRun:
    """A run by name.

    Raises:
        ValueError: When there is none.
    """
    if name not in RUNS:
        near = difflib.get_close_matches(name, RUNS, n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(f"unknown run {name!r}: {hint}there are {', '.join(RUNS)}")
    return RUNS[name]
