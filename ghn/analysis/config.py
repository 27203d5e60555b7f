"""Which networks are analysed, from which starts, on which images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ghn.analysis.published import GROUP, models
from ghn.common.settings import Settings, at_least
from ghn.deepnets.sample import SPLITS
from ghn.initializers import create

NOISE = "noise"
"""The data set of images that are normal noise, with labels at random."""

TRAINED = "trained"
"""The start of weights that a network was trained to."""

NOISE_SIZE, NOISE_CLASSES = 224, 1000


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig(Settings):
    """Which networks are analysed, from which starts, on which images.

    Attributes:
        models: Models by name, as `ghn predict` takes them; `torchvision-74` stands for the paper's 74 classifiers.
        splits: For each split of DeepNets-1M the number of its networks, from the first on.
        metadata: A published JSON file to take the networks of the splits from; None draws them.
        starts: Where the parameters come from: chains of initialisers, or `trained`.
        trained: Folder that holds trained weights as NAME.safetensors, NAME.pt or NAME.pth; None for those that
            torchvision or timm fetches.
        data: A data set's name, a folder of images, or `noise`.
        data_root: Folder that holds the data set; None for the default.
        image_size: Side in pixels of what networks see; None for that of the data set, 224 for folders and noise.
        num_classes: Outputs of the networks; None for the classes of the data, 1000 for noise.
        images: In the batch that is looked at.
        calibration_images: Training images for starts that need some.
        seed: Governs which images, the initialisation of models, and what starts draw.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = frozenset({"models", "splits", "starts", "data_root", "trained"})
    """What may differ when an analysis goes on: which networks are looked at changes none of their numbers."""

    models: tuple[str, ...] = ()
    splits: dict[str, int] = field(default_factory=dict)
    metadata: str | None = None
    starts: tuple[str, ...] = ("default",)
    trained: str | None = None
    data: str = "digits"
    data_root: str | None = None
    image_size: int | None = field(default=None, metadata=at_least(1))
    num_classes: int | None = field(default=None, metadata=at_least(1))
    images: int = field(default=32, metadata=at_least(2))
    calibration_images: int = field(default=512, metadata=at_least(2))
    seed: int = field(default=0, metadata=at_least(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        listed = (models() if name == GROUP else (name,) for name in self.models)
        object.__setattr__(self, "models", tuple(name for names in listed for name in names))
        for split, count in self.splits.items():
            if split not in SPLITS:
                raise ValueError(f"unknown split {split!r}; there are {', '.join(SPLITS)}")
            if not 1 <= count <= SPLITS[split].size:
                raise ValueError(f"{split} has 1..{SPLITS[split].size} networks to analyse, not {count}")
        if not self.models and not self.splits:
            raise ValueError("no network to analyse: name models, or ask for some of a split")
        if not self.starts:
            raise ValueError("no start: name at least one, e.g. default or ghn")
        for what, names in (("model", self.models), ("start", self.starts)):
            again = next((name for name in names if names.count(name) > 1), None)
            if again is not None:
                raise ValueError(f"the {what} {again!r} is named twice; leave one out")
        for start in self.starts:
            if start != TRAINED:
                create(start)
        if TRAINED in self.starts and self.splits:
            raise ValueError("networks of DeepNets-1M have no trained weights; name models only, or another start")

    def identity(self) -> dict[str, Any]:
        """What the numbers of a network and start depend on."""
        return {name: value for name, value in self.to_dict().items() if name not in self.FREE_TO_CHANGE}
