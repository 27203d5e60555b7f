"""A start by `ghn`, then a plain loop as in torchvision's reference training (references/classification/train.py)."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ghn
from ghn.data import load
from ghn.data.augment import normalise


def digits(split: str, images: int | None = None) -> TensorDataset:
    """Normalised images (N, 3, 32, 32) and labels (N,)."""
    found = load("digits", split="test" if split == "test" else "train")
    return TensorDataset(normalise(found.images[:images], found), found.labels[:images])


def train_one_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader[tuple[Tensor, ...]]) -> None:
    model.train()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    for images, labels in loader:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.inference_mode()
def evaluate(model: nn.Module, loader: DataLoader[tuple[Tensor, ...]]) -> float:
    model.eval()
    right = [(model(images).argmax(1) == labels).float() for images, labels in loader]
    return float(torch.cat(right).mean())


def main(images: int | None = None, epochs: int = 3) -> tuple[float, float]:
    torch.manual_seed(0)
    training = DataLoader(digits("train", images), batch_size=32, shuffle=True, drop_last=True)
    test = DataLoader(digits("test", images), batch_size=250)
    model = torchvision.models.resnet18(num_classes=10)
    start = ghn.initializers.create("ghn+statistics")
    start(model, [next(iter(training)) for _ in range(8)], seed=0)

    before = evaluate(model, test)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for _ in range(epochs):
        train_one_epoch(model, optimizer, training)
        schedule.step()
    after = evaluate(model, test)
    print(f"{100 * before:.1f} % of test images right at the start, {100 * after:.1f} % after {epochs} epochs")
    return before, after


if __name__ == "__main__":
    main()
