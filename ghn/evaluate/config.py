"""What is evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ghn.common.settings import Settings, at_least
from ghn.deepnets.sample import SPLITS
from ghn.initializers import create

DEFAULT_SPLITS = {"test": 100, "wide": 20, "deep": 20, "dense": 20, "bnfree": 20}

BatchNormMode = Literal["batch", "running"]
"""Whether batch norms normalise by the batch of test images, or by the statistics that a start has set."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Settings):
    """What is evaluated.

    Attributes:
        data: Name of the data set whose test images are used, imagenet, folder (then `data_root` is the folder), or a
            folder that holds `test/<class>/*.jpg` (or val), or `<class>/*.jpg`.
        data_root: Folder that holds the data set; None for the default.
        image_size: Side in pixels of what the networks see; None for that of the data set, 224 for folders.
        splits: For each split of DeepNets-1M the number of its networks, from the first on.
        metadata: A published JSON file to take the networks of the splits from; None draws them.
        predefined: Whether ResNet-50 and the vision transformer are evaluated as well.
        models: Models by name, as `ghn predict` takes them, e.g. "timm:regnety_004".
        starts: Where the parameters come from: chains of initialisers as `ghn.initializers.create` takes them. "ghn" is
            the hypernetwork that is evaluated.
        calibration_images: Training images for starts that need some.
        batch_norm: Batch norms use the statistics of batches of 64 test images, or running ones.
        images: Test images for each network, other ones for each; None for all, at most as many as there are.
        image_workers: Processes that decode images of folders.
        seed: Governs their order, the initialisation of models, and what starts draw.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset({"data_root", "image_workers"})
    """What may differ when an evaluation goes on."""

    data: str = "cifar10"
    data_root: str | None = None
    image_size: int | None = field(default=None, metadata=at_least(1))
    splits: dict[str, int] = field(default_factory=lambda: dict(DEFAULT_SPLITS))
    metadata: str | None = None
    predefined: bool = True
    models: tuple[str, ...] = ()
    starts: tuple[str, ...] = ("ghn",)
    calibration_images: int = field(default=512, metadata=at_least(2))
    batch_norm: BatchNormMode = "batch"
    images: int | None = None
    image_workers: int = field(default=0, metadata=at_least(0))
    seed: int = field(default=0, metadata=at_least(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        for split, count in self.splits.items():
            if split not in SPLITS:
                raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
            if not 1 <= count <= SPLITS[split].size:
                raise ValueError(f"{split} has 1..{SPLITS[split].size} networks to evaluate, not {count}")
        if not self.splits and not self.predefined and not self.models:
            raise ValueError("no network to evaluate: ask for models, for some of a split, or for the predefined ones")
        if not self.starts:
            raise ValueError("no start to evaluate: name at least one, e.g. ghn or default")
        for what, names in (("model", self.models), ("start", self.starts)):
            again = next((name for name in names if names.count(name) > 1), None)
            if again is not None:
                raise ValueError(f"the {what} {again!r} is named twice; leave one out")
        for start in self.starts:
            create(start)
        if self.images is not None and self.images < 2:
            raise ValueError(
                f"images must be at least 2 (batch norms need them), not {self.images}; leave it out for all"
            )

    @property
    def count(self) -> int:
        """Networks, each of which is evaluated from every start."""
        return sum(self.splits.values()) + 2 * self.predefined + len(self.models)

    def identity(self) -> dict[str, Any]:
        """What must be the same when an evaluation goes on."""
        return {name: value for name, value in self.to_dict().items() if name not in self.FREE_TO_CHANGE}
