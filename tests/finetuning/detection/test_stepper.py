"""A step of a detector is the gradient of the sum of its losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ghn.finetuning.detection.config import DetectionConfig
from ghn.finetuning.detection.stepper import DetectorStepper
from ghn.training.trainer import Trainer


class TwoLosses(nn.Module):
    """As a detector: losses by name from images and targets."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, images: list[Tensor], targets: list[dict[str, Any]]) -> dict[str, Tensor]:
        mean = torch.stack([image.mean() for image in images]).mean()
        return {"one": self.weight[0] * mean, "two": self.weight[1].square() * float(len(targets))}


def test_the_gradient_is_that_of_the_sum() -> None:
    config = DetectionConfig(steps=1, clip=None, learning_rate=0.1, weight_decay=0.0, momentum=0.0, warmup=0.0)
    module = TwoLosses()
    trainer = Trainer(config, DetectorStepper(config, module, 2))
    report = trainer.step([(torch.ones(3, 2, 2), {}), (3 * torch.ones(3, 2, 2), {})])
    assert report.means["loss"] == 2.0 + 8.0
    # d/dw0 = mean = 2; d/dw1 = 2 w1 · 2 = 8
    assert torch.allclose(module.weight.detach(), torch.tensor([1.0 - 0.1 * 2, 2.0 - 0.1 * 8]))


def test_losses_are_part_of_the_state() -> None:
    stepper = DetectorStepper(DetectionConfig(), TwoLosses(), 2)
    stepper.losses = [1.0, 2.0]
    other = DetectorStepper(DetectionConfig(), TwoLosses(), 2)
    other.load_state_dict(stepper.state_dict())
    assert other.losses == [1.0, 2.0]
