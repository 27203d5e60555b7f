"""A start by `ghn`, then timm's own training functions, as its `train.py` puts them together."""

from __future__ import annotations

import timm
import torch
from timm.data.mixup import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, ModelEmaV3, NativeScaler, accuracy
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ghn
from ghn.data import load
from ghn.data.augment import normalise


def loader(split: str, images: int | None) -> DataLoader[tuple[Tensor, ...]]:
    found = load("digits", split="test" if split == "test" else "train")
    data = TensorDataset(normalise(found.images[:images], found), found.labels[:images])
    return DataLoader(data, batch_size=32, shuffle=split == "train", drop_last=split == "train")


@torch.inference_mode()
def validate(model: nn.Module, batches: DataLoader[tuple[Tensor, ...]]) -> float:
    model.eval()
    top1 = AverageMeter()
    for images, labels in batches:
        top1.update(accuracy(model(images), labels)[0].item(), len(labels))
    return top1.avg / 100


def main(images: int | None = None, epochs: int = 3) -> tuple[float, float]:
    torch.manual_seed(0)
    training, test = loader("train", images), loader("test", images)
    model = timm.create_model("resnet10t", num_classes=10)
    ghn.initializers.create("ghn+statistics")(model, [next(iter(training)) for _ in range(8)], seed=0)

    before = validate(model, test)
    optimizer = create_optimizer_v2(model, opt="lamb", lr=5e-3, weight_decay=0.02)
    updates = len(training)
    schedule, _ = create_scheduler_v2(optimizer, num_epochs=epochs, updates_per_epoch=updates, step_on_epochs=False)
    mixup = Mixup(mixup_alpha=0.1, cutmix_alpha=0.0, label_smoothing=0.1, num_classes=10)
    loss_fn, scaler, average = SoftTargetCrossEntropy(), NativeScaler("cpu"), ModelEmaV3(model, decay=0.9)
    for epoch in range(epochs):
        model.train()
        for index, (inputs, labels) in enumerate(training):
            inputs, labels = mixup(inputs, labels)
            optimizer.zero_grad()
            scaler(loss_fn(model(inputs), labels), optimizer, clip_grad=1.0, parameters=model.parameters())
            average.update(model)
            schedule.step_update(epoch * updates + index + 1)
    after = validate(average.module, test)
    print(f"{100 * before:.1f} % of test images right at the start, {100 * after:.1f} % after {epochs} epochs")
    return before, after


if __name__ == "__main__":
    main()
