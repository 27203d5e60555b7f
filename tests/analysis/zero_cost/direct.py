"""Scores as their papers define them, written out for two networks, in training mode without dropout."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.analysis.networks import Attention, Small


def trained(model: nn.Module) -> nn.Module:
    """A copy that normalises by the batch and drops nothing."""
    copied = copy.deepcopy(model).train()
    for module in copied.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return copied


def weights_of(model: nn.Module) -> list[Tensor]:
    names = [name for name, parameter in model.named_parameters() if parameter.dim() > 1]
    return [model.get_parameter(name) for name in names]


def gradients(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    return torch.autograd.grad(loss, weights_of(model))


def gradnorm(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    return sum(float(gradient.square().sum().sqrt()) for gradient in gradients(trained(model), batch))


def snip(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    copied = trained(model)
    pairs = zip(gradients(copied, batch), weights_of(copied), strict=True)
    return sum(float((gradient * weight).detach().abs().sum()) for gradient, weight in pairs)


def plain(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    copied = trained(model)
    pairs = zip(gradients(copied, batch), weights_of(copied), strict=True)
    return sum(float((gradient * weight).detach().sum()) for gradient, weight in pairs)


def grasp(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    """By the difference of gradients along the gradient: H g = (g(θ + t g) − g(θ − t g)) / 2 t."""
    copied = trained(model).double()
    double = (batch[0].double(), batch[1])
    weights = weights_of(copied)
    found = gradients(copied, double)
    step = 1e-5
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            for weight, gradient in zip(weights, found, strict=True):
                weight.add_(sign * step * gradient)
        moved.append(gradients(copied, double))
        with torch.no_grad():
            for weight, gradient in zip(weights, found, strict=True):
                weight.sub_(sign * step * gradient)
    return -sum(
        float(((plus - minus) / (2 * step) * weight).detach().sum())
        for plus, minus, weight in zip(*moved, weights, strict=True)
    )


def _synflow(model: nn.Module, batch: tuple[Tensor, Tensor], batch_norms: bool) -> float:
    copied = trained(model).double()
    if not batch_norms and isinstance(copied, Small):
        copied.norm = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.abs_()
    copied(torch.ones(1, *batch[0].shape[1:], dtype=torch.float64)).sum().backward()
    total = 0.0
    for weight in weights_of(copied):
        assert weight.grad is not None
        total += float((weight * weight.grad).detach().abs().sum())
    return total


def synflow(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    return _synflow(model, batch, batch_norms=False)


def synflow_bn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    return _synflow(model, batch, batch_norms=True)


def fisher(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    """From outputs (n, k, positions) of each layer, held with their gradients."""
    copied = trained(model)
    outputs: list[Tensor] = []
    if isinstance(copied, Attention):
        return _fisher_of_attention(copied, batch)

    def hold(_: nn.Module, given: object, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    for module in copied.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(hold)
    functional.cross_entropy(copied(batch[0]), batch[1]).backward()
    total = 0.0
    for output in outputs:
        assert output.grad is not None
        products = (output * output.grad).flatten(2).sum(2) if output.dim() > 2 else output * output.grad
        total += 0.5 * float(products.detach().square().mean(0).sum())
    return total


def _fisher_of_attention(model: Attention, batch: tuple[Tensor, Tensor]) -> float:
    patches = model.patch(batch[0])
    tokens_TBC = patches.flatten(2).permute(2, 0, 1)
    packed = functional.linear(tokens_TBC, model.attention.in_proj_weight, model.attention.in_proj_bias)
    positions, count, _ = packed.shape
    queries, keys, values = (
        part.reshape(positions, count, 2, 4).permute(1, 2, 0, 3) for part in packed.chunk(3, dim=-1)
    )
    mixed = torch.softmax(queries @ keys.transpose(-1, -2) / 2.0, -1) @ values
    joined = mixed.permute(2, 0, 1, 3).reshape(positions, count, 8)
    attended = functional.linear(joined, model.attention.out_proj.weight, model.attention.out_proj.bias)
    scores = model.head((tokens_TBC + functional.gelu(attended)).mean(0))
    held = [patches, packed, attended, scores]
    found = torch.autograd.grad(functional.cross_entropy(scores, batch[1]), held)
    products = [output * gradient for output, gradient in zip(held, found, strict=True)]
    sums = [products[0].sum((2, 3)), products[1].sum(0), products[2].sum(0), products[3]]
    return sum(0.5 * float(part.detach().square().mean(0).sum()) for part in sums)


def jacobcov(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    images = batch[0].clone().requires_grad_()
    copied = trained(model)
    copied(images).sum().backward()
    assert images.grad is not None
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(images.grad.flatten(1).double().numpy()))
    return -float(np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5)))


def naswot(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    """From the distances of binary codes: K_ij = N − d(c_i, c_j)."""
    codes: list[Tensor] = []
    copied = trained(model)
    for module in copied.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _, given, __: codes.append(given[0].flatten(1) > 0))
    copied(batch[0])
    code = torch.cat(codes, 1)
    units = code.shape[1]
    kernel = [[units - int((a != b).sum()) for b in code] for a in code]
    return float(np.linalg.slogdet(np.array(kernel, dtype=float))[1])


def parameters(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    return float(sum(parameter.numel() for parameter in model.parameters()))


def multiply_adds(model: nn.Module, batch: tuple[Tensor, Tensor]) -> float:
    if isinstance(model, Small):
        # 3×3 kernels at 6×6 and 2×2 positions, and the head.
        return 36 * 4 * 3 * 9 + 4 * 6 * 2 * 9 + 6 * 4
    # Four patches, three projections of 8, two products of attention, the output, the head.
    return 4 * 8 * 3 * 9 + 4 * 24 * 8 + 2 * (4 * 4 * 8) + 4 * 8 * 8 + 8 * 4


DIRECT: dict[str, Callable[[nn.Module, tuple[Tensor, Tensor]], float]] = {
    "gradnorm": gradnorm,
    "snip": snip,
    "fisher": fisher,
    "jacobcov": jacobcov,
    "plain": plain,
    "grasp": grasp,
    "synflow": synflow,
    "synflow-bn": synflow_bn,
    "naswot": naswot,
    "parameters": parameters,
    "multiply-adds": multiply_adds,
}
