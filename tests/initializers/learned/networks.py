"""Networks so small that what is learned of them can be computed by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ghn.initializers.report import Batch

SIZE = 2
"""Side of the images."""


def tiny(*, bias: bool = True) -> nn.Module:
    """Two layers, in double precision."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * SIZE**2, 4, bias=bias), nn.Tanh(), nn.Linear(4, 3, bias=bias)
    ).double()


def tiny_images(batches: int = 2, count: int = 10, classes: int = 3) -> list[Batch]:
    """Images in double precision whose first pixels tell their classes."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(batches):
        labels = torch.randint(0, classes, (count,), generator=generator)
        images = torch.randn(count, 3, SIZE, SIZE, generator=generator, dtype=torch.float64)
        images[:, :, 0, 0] += 2 * torch.eye(3, dtype=torch.float64)[labels % 3]
        found.append((images, labels))
    return found


def gradients_of(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The ordinary gradients of the loss, of a copy."""
    values = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    loss = nn.functional.cross_entropy(torch.func.functional_call(model, values, batch[0]), batch[1])
    return dict(zip(values, torch.autograd.grad(loss, list(values.values()))))
