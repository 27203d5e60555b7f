"""Norms of all parameters, and of the gradient of the loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ghn.data.sample import sample_batches
from ghn.experiments.kinds.norm import KIND
from tests.experiments.kinds.jobs import job
from tests.experiments.tiny import MODEL, make

pytest.importorskip("sklearn")


def test_norms_are_the_euclidean_ones(tmp_path: Path) -> None:
    settings = {
        "model": MODEL, "init": "default", "data": "digits", "image_size": 32, "num_classes": 10, "images": 16
    }  # fmt: skip
    found = KIND.run(job(tmp_path, settings, seed=1)).value
    torch.manual_seed(1)
    model = make()  # in training mode batch norms use the batch
    images, labels = sample_batches("digits", 16, image_size=32, seed=1)[0]
    functional.cross_entropy(model(images), labels).backward()
    parameters = list(model.parameters())
    assert found["parameters"] == pytest.approx(
        float(torch.cat([p.detach().flatten() for p in parameters]).norm()), rel=1e-5
    )
    gradients = [p.grad.flatten() for p in parameters if p.grad is not None]
    assert found["gradient"] == pytest.approx(float(torch.cat(gradients).norm()), rel=1e-4)
