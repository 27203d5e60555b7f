"""A start by `ghn`, then Lightning."""

from __future__ import annotations

from typing import Any

import lightning
import torch
import torchvision
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import ghn
from ghn.data import load
from ghn.data.augment import normalise


class Classifier(lightning.LightningModule):
    """A model that was initialised before it came here."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        return functional.cross_entropy(self.model(images), labels)

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        images, labels = batch
        self.log("accuracy", (self.model(images).argmax(1) == labels).float().mean(), batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def loader(split: str, images: int | None) -> DataLoader[tuple[Tensor, ...]]:
    found = load("digits", split="test" if split == "test" else "train")
    data = TensorDataset(normalise(found.images[:images], found), found.labels[:images])
    return DataLoader(data, batch_size=32, shuffle=split == "train", drop_last=split == "train")


def main(images: int | None = None, epochs: int = 3) -> tuple[float, float]:
    torch.manual_seed(0)
    training, test = loader("train", images), loader("test", images)
    model = torchvision.models.resnet18(num_classes=10)
    ghn.initializers.create("ghn+statistics")(model, [next(iter(training)) for _ in range(8)], seed=0)

    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, **quiet)
    module = Classifier(model)
    before = float(trainer.validate(module, test, verbose=False)[0]["accuracy"])
    trainer.fit(module, training)
    after = float(trainer.validate(module, test, verbose=False)[0]["accuracy"])
    print(f"{100 * before:.1f} % of test images right at the start, {100 * after:.1f} % after {epochs} epochs")
    return before, after


if __name__ == "__main__":
    main()
