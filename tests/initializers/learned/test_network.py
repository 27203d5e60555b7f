"""Models as functions of scales."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers.learned.network import ScaledNetwork, differentiable, joined, norm_of
from tests.initializers.learned.networks import gradients_of, tiny, tiny_images
from tests.initializers.networks import images, small, state


def test_scores_at_scales_are_those_of_scaled_parameters() -> None:
    model, (batch, _) = tiny(), tiny_images()
    before = state(model)
    network = ScaledNetwork("x", model)
    assert set(network.scales) == set(before)
    with torch.no_grad():
        for index, scale in enumerate(network.scales.values()):
            scale.fill_(1 + 0.5 * index)
    scores = network.scores(network.tensors(), batch[0])
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        for index, parameter in enumerate(scaled.parameters()):
            parameter.mul_(1 + 0.5 * index)
    torch.testing.assert_close(scores, scaled(batch[0]))
    network.write()
    torch.testing.assert_close(model(batch[0]), scaled(batch[0]))


def test_gradients_and_slopes() -> None:
    model, (batch, _) = tiny(), tiny_images()
    network = ScaledNetwork("x", model)
    tensors = network.tensors()
    loss = network.loss(tensors, batch)
    gradients = network.gradients(loss, tensors)
    expected = gradients_of(model, batch)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name])
    # The derivative by a scale is the gradient along the tensor.
    for name, slope in network.slopes(loss).items():
        along = (expected[name] * model.get_parameter(name).detach()).sum()
        assert float(slope) == pytest.approx(float(along), rel=1e-4)


class Awkward(nn.Module):
    """Tied, frozen, integer, empty, zero and unused parameters; an object with logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(12, 12)
        self.tied = nn.Linear(12, 12)
        self.tied.weight = self.first.weight
        self.norm = nn.BatchNorm1d(12)
        self.last = nn.Linear(12, 3)
        self.last.weight.requires_grad_(False)
        self.unused = nn.Linear(2, 2)
        self.integers = nn.Parameter(torch.ones(2, dtype=torch.int64), requires_grad=False)
        self.empty = nn.Parameter(torch.zeros(0, 3))

    def forward(self, x: Tensor) -> SimpleNamespace:
        hidden = self.norm(self.tied(torch.tanh(self.first(x.flatten(1)))))
        return SimpleNamespace(loss=None, hidden=hidden, logits=self.last(hidden))


def test_awkward_parameters() -> None:
    model = Awkward()
    network = ScaledNetwork("x", model)
    assert network.kept == {
        "last.weight": "it is frozen",
        "integers": "it is frozen",
        "empty": "it has no elements",
        "norm.bias": "it is zero, whatever its scale",
    }
    assert "tied.weight" not in network.scales
    batch = torch.randn(6, 3, 2, 2), torch.arange(6) % 3
    with differentiable(model, 0):
        tensors = network.tensors()
        gradients = network.gradients(network.loss(tensors, batch), tensors)
    assert "unused.weight" not in gradients
    # Zero it may be: it is trained all the same.
    assert {"norm.bias", "first.weight", "first.bias"} <= set(gradients)
    expected = {name: value.clone() for name, value in model.named_parameters()}
    with torch.no_grad():
        network.scales["first.weight"].fill_(2.0)
    network.write()
    assert torch.equal(model.tied.weight, 2 * expected["first.weight"])
    assert model.tied.weight is model.first.weight
    assert torch.equal(model.last.weight, expected["last.weight"])


def test_two_forward_passes_and_then_two_derivatives_with_batch_norms() -> None:
    model, given = small(), images()
    before = state(model)
    modes, random = [module.training for module in model.modules()], torch.get_rng_state()
    network = ScaledNetwork("x", model)
    with differentiable(model, 0):
        assert [module.training for module in model.modules() if not isinstance(module, nn.BatchNorm2d)] == [False] * 9
        assert all(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
        tensors = network.tensors()
        first = network.gradients(network.loss(tensors, given[0]), tensors)
        second = network.gradients(network.loss(tensors, given[1]), tensors)
        norm = norm_of([*first.values(), *second.values()], 2)
        assert any(float(slope) != 0 for slope in network.slopes(norm).values())
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_buffers_that_forward_passes_write_to() -> None:
    class Counts(nn.Module):
        count: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 3)
            self.register_buffer("count", torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            self.count.add_(1)
            return self.layer(x.flatten(1)).tanh() * self.count

    torch.manual_seed(0)
    model, batch = Counts(), (torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0]))
    network = ScaledNetwork("x", model)
    with differentiable(model, 0):
        tensors = network.tensors()
        first, second = network.loss(tensors, batch), network.loss(tensors, batch)
        assert torch.equal(first, second)
        assert network.gradients(first, tensors)["layer.weight"].any()
    assert model.count.tolist() == [1, 1, 1]


def test_attention_can_be_differentiated_twice() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            heads = x.reshape(len(x), -1, 2, 8).transpose(1, 2)
            attended = nn.functional.scaled_dot_product_attention(heads, heads, heads)
            return self.head(self.layer(attended.mean(1)).mean(1))

    torch.manual_seed(0)
    model = Attention().eval()
    network = ScaledNetwork("x", model)
    with differentiable(model, 0):
        tensors = network.tensors()
        loss = network.loss(tensors, (torch.randn(2, 3, 16, 2), torch.tensor([0, 1])))
        slopes = network.slopes(norm_of(list(network.gradients(loss, tensors).values()), 2))
    assert float(slopes["layer.self_attn.in_proj_weight"]) != 0


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return 2 * ctx.saved_tensors[0] * grad


class _Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Once.apply(x)  # type: ignore[no-any-return]


def test_errors_are_one_line() -> None:
    batch = torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0])
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), _Square())
    network = ScaledNetwork("gradinit", model)
    tensors = network.tensors()
    gradients = network.gradients(network.loss(tensors, batch), tensors)
    with pytest.raises(ValueError, match="gradinit cannot do anything for Sequential: its gradient cannot be diff"):
        network.slopes(norm_of(list(gradients.values()), 2))
    with pytest.raises(ValueError, match=r"the forward pass on images \(4, 3, 5, 5\) fails: mat1 and mat2"):
        network.scores(tensors, torch.randn(4, 3, 5, 5))
    with pytest.raises(ValueError, match="the model has 3 outputs, and the images have labels up to 7"):
        network.loss(tensors, (batch[0], torch.tensor([0, 1, 2, 7])))
    maps = nn.Conv2d(3, 4, 1)
    with pytest.raises(ValueError, match=r"needs a classifier: Conv2d gives \(4, 4, 2, 2\), not \(B, C\)"):
        ScaledNetwork("nio", maps).scores(dict(maps.named_parameters()), batch[0])
    with pytest.raises(ValueError, match="nio runs the model, and Linear is on the meta device"):
        ScaledNetwork("nio", nn.Linear(2, 2, device="meta"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_scales_keep_the_type(dtype: torch.dtype) -> None:
    model = nn.Linear(3, 2).to(dtype)
    network = ScaledNetwork("x", model)
    assert all(value.dtype == dtype for value in network.tensors().values())
    network.write()
    assert model.weight.dtype == dtype


def test_norms_and_joined_batches() -> None:
    parts = [torch.tensor([3.0, -4.0]), torch.tensor([[12.0]])]
    assert float(norm_of(parts, 2)) == 13
    assert float(norm_of(parts, 1)) == 19
    images_B, labels_B = joined((torch.zeros(2, 1), torch.zeros(2)), (torch.ones(1, 1), torch.ones(1)))
    assert images_B.flatten().tolist() == labels_B.tolist() == [0, 0, 1]
