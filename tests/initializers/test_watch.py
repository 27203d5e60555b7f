"""What goes into a weight's operator, and what comes out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.initializers.watch import FoundError, first_use, watch


class Odd(nn.Module):
    """Weights that no module owns the use of."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(5, 12)), nn.Parameter(torch.randn(4, 7))

    def forward(self, images: Tensor) -> Tensor:
        hidden = images.flatten(1) @ self.a.t().view(12, 5)[:, :4]
        return functional.linear(hidden.relu() @ self.b, self.b)


def test_the_first_use_ends_the_pass() -> None:
    model, images = Odd(), torch.randn(2, 3, 2, 2)
    seen = first_use(model, "a", images)
    assert seen is not None
    torch.testing.assert_close(seen[0], images.flatten(1))
    torch.testing.assert_close(seen[1], (images.flatten(1) @ model.a.t()[:, :4]).detach())
    seen = first_use(model, "b", images)
    assert seen is not None
    assert seen[1].shape == (2, 7)


def test_an_unused_weight_is_not_seen() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    model.register_parameter("spare", nn.Parameter(torch.ones(3, 3)))
    assert first_use(model, "spare", torch.randn(2, 3, 2, 2)) is None


def test_several_weights_are_seen_in_one_pass_each_once() -> None:
    model, images, seen = Odd(), torch.randn(2, 3, 2, 2), []
    watch(model, dict(model.named_parameters()), lambda name, data, output: seen.append((name, output)), images)
    assert [name for name, _ in seen] == ["a", "b"]
    torch.testing.assert_close(seen[0][1], images.flatten(1) @ model.a.t()[:, :4])

    def stop(name: str, *_: Tensor) -> None:
        seen.append((name, images))
        raise FoundError

    watch(model, dict(model.named_parameters()), stop, images)
    assert [name for name, _ in seen] == ["a", "b", "a"]
