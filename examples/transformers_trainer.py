"""A start by `ghn`, then the `Trainer` of transformers."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

import ghn
from ghn.data import load
from ghn.data.augment import normalise


class Digits(Dataset[dict[str, Any]]):
    """Images as the library's models take them."""

    def __init__(self, split: str, images: int | None) -> None:
        found = load("digits", split="test" if split == "test" else "train")
        self.images, self.labels = normalise(found.images[:images], found), found.labels[:images]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixel_values": self.images[index], "labels": self.labels[index]}


def main(images: int | None = None, epochs: int = 3) -> tuple[float, float]:
    torch.manual_seed(0)
    training, test = Digits("train", images), Digits("test", images)
    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 64], depths=[1, 1, 1], layer_type="basic")
    config.num_labels = 10
    model = ResNetForImageClassification(config)
    batches = list(zip(training.images[:256].split(32), training.labels[:256].split(32), strict=True))
    ghn.initializers.create("ghn+statistics")(model, batches, seed=0)

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            lr_scheduler_type="cosine",
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=training,
            eval_dataset=test,
            compute_metrics=lambda found: {"accuracy": (np.argmax(found.predictions, 1) == found.label_ids).mean()},
        )
        before = float(trainer.evaluate()["eval_accuracy"])
        trainer.train()
        after = float(trainer.evaluate()["eval_accuracy"])
    print(f"{100 * before:.1f} % of test images right at the start, {100 * after:.1f} % after {epochs} epochs")
    return before, after


if __name__ == "__main__":
    main()
