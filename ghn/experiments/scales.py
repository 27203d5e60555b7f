"""In which size an experiment is done: as in the paper, or as two processor cores can within an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ghn.analysis.config import TRAINED
from ghn.data import DATA_SETS
from ghn.experiments.methods import Method, given, trained
from ghn.experiments.networks import torchvision_names
from ghn.hypernet.config import GHNConfig
from ghn.meta.config import MetaTrainingConfig
from ghn.meta.runs import RUNS

IMAGENET_CLASSES = 1000

LEARNING_RATES = (0.4, 0.1, 0.04, 0.01, 0.001)
"""Of SGD, the best of which counts (GHN-3, section 4.3)."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of all that experiments have in common.

    Attributes:
        name: `small` or `paper`.
        data: Data set.
        classes: Of it.
        image_size: Side of the images in pixels.
        models: What stands for the 74 models of torchvision.
        splits: Networks of each split of DeepNets-1M.
        best: Networks of "-10" groups.
        tenth: Steps that are called 1/10 epoch.
        epoch: Steps that are called an epoch.
        seeds: Trainings of each start where deviations over seeds are given.
        training: Fields of `FinetuneConfig` of every training.
        test_images: Of evaluations; None for all.
        meta: Training of hypernetworks that are not there.
        long_models: Networks that are trained fully, and the changes of `training` for each; of several the best on
            held-out images counts.
        long_epochs: Epochs of these.
        few_shot: Training images of transfer.
        transfer: Data sets that are transferred to.
        transfer_models: Networks that are transferred.
        transfer_steps: Steps of each such training.
        norm_images: Images of a batch for gradients.
        analysed: What stands for the 74 models where nothing is trained (table 9).
        variance_models: Networks whose activations are drawn.
    """

    name: str
    data: str
    classes: int
    image_size: int
    models: tuple[str, ...]
    splits: Mapping[str, int]
    best: int
    tenth: int
    epoch: int
    seeds: int
    training: Mapping[str, Any] = field(default_factory=dict)
    test_images: int | None = None
    meta: MetaTrainingConfig
    long_models: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    long_epochs: int = 90
    few_shot: int = 1000
    transfer: tuple[str, ...] = ("cifar10", "cifar100")
    transfer_models: tuple[str, ...] = ()
    transfer_steps: int = 1000
    norm_images: int = 64
    analysed: tuple[str, ...] = ()
    variance_models: tuple[str, ...] = ()


_SGD = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 3e-5, "batch_size": 128, "noise": 1e-5}

_ADAMW = {
    "optimizer": "adamw",
    "schedule": "cosine",
    "batch_size": 512,
    "learning_rates": [1e-3, 6e-4, 3e-4],
}

PAPER = Scale(
    name="paper",
    data="imagenet",
    classes=IMAGENET_CLASSES,
    image_size=224,
    models=torchvision_names(),
    splits={"test": 500, "wide": 100, "deep": 100, "dense": 100, "bnfree": 100},
    best=10,
    tenth=1_000,
    epoch=10_000,
    seeds=3,
    training={**_SGD, "learning_rates": list(LEARNING_RATES), "precision": "float16", "image_workers": 8},
    meta=RUNS["ghn3-t-m8"].config,
    long_models={
        "resnet50": ({"schedule": "thirds", "learning_rates": [0.1, 0.025, 0.01]},),
        "resnet152": ({"schedule": "thirds", "learning_rates": [0.1, 0.025, 0.01]},),
        "swin_t": tuple({**_ADAMW, "weight_decay": decay} for decay in (0.01, 0.05)),
    },
    transfer_models=("resnet50", "convnext_base", "swin_t"),
    analysed=torchvision_names(),
    variance_models=("resnet50", "vit_b_16", "densenet121"),
)

_TINY = replace(
    RUNS["digits-smoke"].config,
    hypernet=GHNConfig(hidden=16, layers=2, heads=2, max_channels=16, spatial=7, num_classes=10),
    steps=200,
    meta_batch=2,
    images=32,
    learning_rate=2e-3,
    validate_every=0,
    log_every=10,
)

SMALL = Scale(
    name="small",
    data="digits",
    classes=10,
    image_size=32,
    models=("resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"),
    splits={"test": 4, "wide": 2, "deep": 2, "dense": 2, "bnfree": 2},
    best=2,
    tenth=2,
    epoch=20,
    seeds=3,
    training={**_SGD, "batch_size": 64, "learning_rates": [0.1, 0.01], "hold_out": 128},
    test_images=300,
    meta=_TINY,
    long_models={"resnet18": ({"schedule": "thirds"},), "shufflenet_v2_x0_5": ({"schedule": "thirds"},)},
    long_epochs=4,
    few_shot=100,
    transfer=("digits",),
    transfer_models=("resnet18", "shufflenet_v2_x0_5"),
    transfer_steps=20,
    analysed=(
        "resnet18",
        "resnet34",
        "resnet50",
        "wide_resnet50_2",
        "resnext50_32x4d",
        "densenet121",
        "shufflenet_v2_x1_0",
    ),
    variance_models=("resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"),
)

KNOWN_DATA = (*DATA_SETS, "imagenet")
"""Data sets that cells know by name."""

SCALES: Mapping[str, Scale] = {"small": SMALL, "paper": PAPER}


def scale_named(name: str, data: str | None = None) -> Scale:
    """A scale, with another data set of as many classes where one is named.

    Raises:
        ValueError: If there is none of that name, or no such data set.
    """
    if name not in SCALES:
        raise ValueError(f"unknown scale {name!r}; there are {', '.join(SCALES)}")
    if data is not None and data not in KNOWN_DATA:
        raise ValueError(f"unknown data set {data!r}; there are {', '.join(KNOWN_DATA)}")
    scale = SCALES[name]
    if data is None or data == scale.data:
        return scale
    return replace(scale, data=data, meta=replace(scale.meta, data=data))


def trained_weights(scale: Scale) -> list[Method]:
    """The weights that torchvision trained on ImageNet; none in the small scale, which has other images."""
    return [] if scale.name == "small" else [Method(name=TRAINED, init=TRAINED)]


def hypernetworks(scale: Scale) -> dict[str, Method]:
    """The hypernetworks of the paper's table 2 by name; released ones as they are, others trained by their named run.

    In the small scale these are the two that come with the package, and one of GHN-2's kind that is trained first.
    """
    if scale.name == "small":
        ghn2 = GHNConfig.preset("ghn2", num_classes=scale.classes, max_channels=16, hidden=16, spatial=7)
        return {
            "ghn2-m8": trained("ghn2-m8", replace(scale.meta, hypernet=ghn2, penalty=0.0)),
            "ghn3-t-m8": given("ghn3-t-m8", "ghn3-t-cifar10", 6.9),
            "ghn3-xl-m16": given("ghn3-xl-m16", "ghn3-t-cifar10-wide", 6.9),
        }
    released = {"ghn3-t-m8": "ghn3tm8", "ghn3-s-m8": "ghn3sm8", "ghn3-l-m8": "ghn3lm8", "ghn3-xl-m16": "ghn3xlm16"}
    found = {"ghn2-m8": given("ghn2-m8", "ghn2", 2.3)}
    for size, millions in (("t", 6.9), ("s", 35.8), ("l", 214.7), ("xl", 654.4)):
        for meta_batch in (8, 16):
            name = f"ghn3-{size}-m{meta_batch}"
            known = released.get(name)
            found[name] = trained(name, RUNS[name].config) if known is None else given(name, known, millions)
    return found
