"""Loss and gradient of one network with predicted parameters, against autograd."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.meta.targets import Objective, TargetResult, target_gradients
from ghn.training.precision import autocast


class Network(nn.Module):
    """Two layers, one of which may be left out, and the scores maybe in a tuple."""

    def __init__(self, *, as_tuple: bool = False) -> None:
        super().__init__()
        self.first, self.last, self.unused = nn.Linear(12, 5), nn.Linear(5, 3), nn.Linear(1, 2)
        self.as_tuple = as_tuple

    def forward(self, images: Tensor) -> Any:
        scores = self.last(self.first(images.flatten(1)).relu())
        return (scores, None) if self.as_tuple else scores


def predicted() -> dict[str, Tensor]:
    """Of a hypernetwork: they hang together."""
    generator = torch.Generator().manual_seed(0)
    shapes = {name: value.shape for name, value in Network().named_parameters()}
    weights = {name: torch.randn(shape, generator=generator).requires_grad_() for name, shape in shapes.items()}
    return {name: 2 * value for name, value in weights.items()}


def a_batch(count: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, 2, 2, generator=generator), torch.arange(count) % 3


def gradients_of(network: nn.Module, weights: dict[str, Tensor], images: Tensor, **changes: Any) -> TargetResult:
    labels = a_batch(len(images))[1]
    options: dict[str, Any] = {
        "scale": 1.0,
        "autocasting": nullcontext,
        "clock": time.perf_counter,
    }
    wished = {name: changes.pop(name) for name in [*changes] if name in Objective.__dataclass_fields__}
    return target_gradients(network, weights, images, labels, objective=Objective(**wished), **options | changes)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("scale", [0.25, torch.tensor(8.0)])
def test_gradient_is_that_of_scaled_loss_and_penalty(penalty: float, squared: bool, scale: Any) -> None:
    images, labels = a_batch()
    weights = predicted()
    result = gradients_of(
        Network().to("meta"), weights, images, scale=scale, penalty=penalty, squared=squared, label_smoothing=0.2
    )
    leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
    scores = torch.func.functional_call(Network(), leaves, (images,))
    loss = functional.cross_entropy(scores, labels, label_smoothing=0.2)
    sizes = torch.stack([value.norm() ** 2 if squared else value.norm() for value in leaves.values()]).sum()
    wanted = torch.autograd.grad(scale * (loss + penalty * sizes), list(leaves.values()), materialize_grads=True)
    for name, mine, theirs in zip(leaves, result.gradients, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6, msg=name)
    torch.testing.assert_close(result.loss, loss.detach())
    torch.testing.assert_close(result.penalty, sizes.detach())
    assert float(result.accuracy) == pytest.approx(float((scores.argmax(dim=1) == labels).float().mean()))
    assert not result.loss.requires_grad


def test_the_hypernetwork_is_not_reached() -> None:
    """Its one backward pass comes later, from all networks' gradients together."""
    weights = predicted()
    for value in weights.values():
        value.register_hook(lambda _: pytest.fail("backpropagated beyond the predicted tensors"))
    gradients_of(Network().to("meta"), weights, a_batch()[0], penalty=1.0)
    assert all(value.requires_grad for value in weights.values())


@pytest.mark.parametrize("squared", [False, True])
def test_a_tensor_of_zeros_has_a_finite_gradient(squared: bool) -> None:
    """The norm has none at 0."""
    weights = {name: torch.zeros_like(value) for name, value in predicted().items()}
    result = gradients_of(Network().to("meta"), weights, a_batch()[0], penalty=1.0, squared=squared)
    assert all(bool(gradient.isfinite().all()) for gradient in result.gradients)
    assert float(result.penalty) == 0


def test_an_unused_tensor_has_its_part_of_the_penalty_only() -> None:
    weights = predicted()
    names = list(weights)
    plain = gradients_of(Network().to("meta"), weights, a_batch()[0])
    assert not plain.gradients[names.index("unused.weight")].any()
    given = gradients_of(Network().to("meta"), weights, a_batch()[0], penalty=3.0)
    value = weights["unused.weight"].detach()
    torch.testing.assert_close(given.gradients[names.index("unused.weight")], 3.0 * value / value.norm())


def test_scores_may_be_the_first_of_several_outputs() -> None:
    found = [gradients_of(Network(as_tuple=given).to("meta"), predicted(), a_batch()[0]) for given in (False, True)]
    assert torch.equal(found[0].loss, found[1].loss)


def test_a_single_image() -> None:
    result = gradients_of(Network().to("meta"), predicted(), a_batch(1)[0])
    assert float(result.accuracy) in (0.0, 1.0)
    assert torch.isfinite(result.loss)


def test_loss_is_taken_in_float32_in_mixed_precision() -> None:
    result = gradients_of(
        Network().to("meta"), predicted(), a_batch()[0], autocasting=lambda: autocast(torch.device("cpu"), "bfloat16")
    )
    assert result.loss.dtype == torch.float32
    assert {gradient.dtype for gradient in result.gradients} == {torch.float32}
    whole = gradients_of(Network().to("meta"), predicted(), a_batch()[0])
    assert result.loss != whole.loss
    torch.testing.assert_close(result.loss, whole.loss, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.25, torch.tensor(8.0)])
@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_inner_steps_are_those_of_first_order_maml(steps: int, scale: Any, penalty: float) -> None:
    """Written out: k steps, each on its own images, and the gradients before the first and after the last."""
    images, labels = a_batch(9)
    weights = predicted()
    rate, share = 0.3, 0.7
    result = gradients_of(
        Network().to("meta"),
        weights,
        images,
        scale=scale,
        penalty=penalty,
        inner_steps=steps,
        inner_rate=rate,
        inner_share=share,
    )
    network = Network()
    network.load_state_dict(weights)
    losses, gradients = [], []
    for x, y in zip(images.tensor_split(steps + 1), labels.tensor_split(steps + 1), strict=True):
        network.zero_grad()
        loss = functional.cross_entropy(network(x), y)
        loss.backward()
        losses.append(loss.detach())
        gradients.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in network.parameters()])
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients[-1], strict=True):
                parameter.sub_(rate * gradient)
    for value, mine, first, last in zip(weights.values(), result.gradients, gradients[0], gradients[-1], strict=True):
        length = value.detach() / value.detach().norm()
        wanted = scale * ((1 - share) * first + share * last + penalty * length)
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(result.loss, losses[0])
    assert result.adapted_loss is not None
    torch.testing.assert_close(result.adapted_loss, losses[-1])
    assert not torch.allclose(gradients[0][0], gradients[-1][0], rtol=1e-2)
    assert gradients_of(Network().to("meta"), weights, images).adapted_loss is None


@pytest.mark.parametrize(("share", "same_as"), [(0.0, 0), (1.0, 1)])
def test_a_share_of_zero_or_one_is_one_of_the_two(share: float, same_as: int) -> None:
    images = a_batch(6)[0]
    found = gradients_of(Network().to("meta"), predicted(), images, inner_steps=1, inner_rate=1e-9, inner_share=share)
    labels = a_batch(6)[1].tensor_split(2)[same_as]
    leaves = {name: value.detach().requires_grad_() for name, value in predicted().items()}
    scores = torch.func.functional_call(Network(), leaves, (images.tensor_split(2)[same_as],))
    wanted = torch.autograd.grad(
        functional.cross_entropy(scores, labels), list(leaves.values()), materialize_grads=True
    )
    for mine, theirs in zip(found.gradients, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_noise_is_relative_and_its_gradient_passes_through() -> None:
    images, labels = a_batch()
    weights, network = predicted(), Network().to("meta")
    torch.manual_seed(7)
    result = gradients_of(network, weights, images, noise=0.2, penalty=0.1)
    torch.manual_seed(7)
    leaves = {}
    other = Network()
    torch.manual_seed(7)
    for name, value in weights.items():
        rms = value.detach().square().mean().sqrt()
        leaves[name] = (value.detach() + 0.2 * rms * torch.randn(value.shape)).requires_grad_()
    loss = functional.cross_entropy(torch.func.functional_call(other, leaves, (images,)), labels)
    wanted = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    for value, mine, theirs in zip(weights.values(), result.gradients, wanted, strict=True):
        torch.testing.assert_close(mine, theirs + 0.1 * value.detach() / value.detach().norm(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(result.loss, loss.detach())
    # The penalty is that of what is predicted.
    torch.testing.assert_close(result.penalty, sum(value.detach().norm() for value in weights.values()))
