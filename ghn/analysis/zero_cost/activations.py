"""Scores from activations and from gradients by the input: Fisher, JacobCov, NASWOT.

Sources: Fisher (Turner et al., BlockSwap, ICLR 2020) and JacobCov as Abdelfattah et al., ICLR 2021, compute them;
NASWOT (Mellor et al., Neural Architecture Search without Training, ICML 2021, equation 2).

Legend: B images, z a layer's output with channels k, L mean cross-entropy of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ghn.analysis.layers import Application, Layers, rows_of_images
from ghn.analysis.zero_cost.network import Network, UndefinedError, differentiated
from ghn.common.private_torch import OperatorMode

SMALL = 1e-5
"""Added to eigenvalues of JacobCov, as published."""

RECTIFIERS = frozenset({"relu", "leaky_relu", "_prelu_kernel", "threshold"})
BOUNDS = frozenset({"hardtanh", "clamp", "clamp_min", "maximum"})
"""Operators that rectify where their least value is zero."""


def fisher(network: Network) -> float:
    """Σ over layers and channels k of ½ meanₙ (Σ over positions of z ∂L/∂z)²."""
    rows = _rows(network)
    terms: list[Tensor] = []
    count = len(network.images)

    def tell(one: Application) -> None:
        if one.number not in rows:
            raise UndefinedError(f"rows of what {one.name} gives belong to no image each")
        if one.output.requires_grad:
            # Copied: an activation may overwrite it.
            value = one.output.detach().clone()
            hook = one.output.register_hook(lambda gradient: add(one, value, gradient))
            # It holds the output that holds it, in a circle that Python does not see.
            hooks.callback(hook.remove)

    def add(one: Application, value: Tensor, gradient: Tensor) -> None:
        products_RK = one.rows(value.double() * gradient.detach().double())
        sums_nk = products_RK.unflatten(0, (-1, count, rows[one.number])).sum((0, 2))
        terms.append(sums_nk.square().mean(0).sum() / 2)

    with ExitStack() as hooks, network.trained():
        buffers = network.copied_buffers()
        with Layers(network.parameters, tell, buffers=buffers.values()):
            outputs = network.scores(buffers)
        # Hooks are called on the way to the parameters.
        differentiated(network.loss_of(outputs), list(network.parameters.values()))
    if not terms:
        raise UndefinedError("no parameter of the model multiplies data")
    return float(torch.stack(terms).sum())


def _rows(network: Network) -> dict[int, int]:
    """How rows of each layer's output belong to images: by image where the axes say so, else as it is found out."""
    count = len(network.images)
    plain: dict[int, int] = {}
    doubtful: list[int] = []

    def look(one: Application) -> None:
        if count == 1 or (one.channels != 0 and one.output.shape[0] == count):
            plain[one.number] = len(one.rows()) // count
        else:
            doubtful.append(one.number)

    network.watch(network.images, look)
    found: dict[int, int] = {}
    if doubtful:
        with suppress(Exception):  # a model that cannot be run on NaN
            found = rows_of_images(partial(network.watch, batch_statistics=False), network.images)
    return {**plain, **{number: run for number, run in found.items() if number in doubtful}}


def jacobcov(network: Network) -> float:
    """−Σ log(λ + ε) + 1 / (λ + ε) over the eigenvalues λ of the correlations of images' Jacobians, ε = 1e-5.

    An image's Jacobian is the derivative of the sum of its scores by its pixels.
    """
    if len(network.images) < 2:
        raise UndefinedError("it takes at least two images")
    images = network.images.detach().clone().requires_grad_()
    with network.trained():
        (jacobian,) = differentiated(network.outputs(images).sum(), [images])
    rows_BD = jacobian.flatten(1).double().cpu()
    rows_BD = rows_BD - rows_BD.mean(1, keepdim=True)
    lengths_B = rows_BD.norm(dim=1, keepdim=True)
    if bool((lengths_B == 0).any()):
        raise UndefinedError("an image's derivatives are all alike: there is no correlation")
    rows_BD = rows_BD / lengths_B
    correlations_BB = rows_BD @ rows_BD.T
    if not bool(correlations_BB.isfinite().all()):
        raise UndefinedError("derivatives by the images are not finite")
    shifted_B = torch.linalg.eigvalsh(correlations_BB) + SMALL
    return -float((shifted_B.log() + 1 / shifted_B).sum())


class _Rectifiers(OperatorMode):
    """Context in which products of the patterns of rectified units are summed: K = Σ c cᵀ + (1 − c)(1 − c)ᵀ."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.kernel_BB = torch.zeros(images, images, dtype=torch.float64)
        self.units = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator."""
        name = func.overloadpacket.__name__.removesuffix("_")
        if name in RECTIFIERS or (name in BOUNDS and _least(args, kwargs or {}) == 0):
            self._add(args[0])
        return func(*args, **(kwargs or {}))

    def _add(self, given: Tensor) -> None:
        images = len(self.kernel_BB)
        if not given.dim() or len(given) % images:
            return
        on_BU = (given.detach().reshape(images, -1) > 0).float()
        self.units += on_BU.shape[1]
        for pattern_BU in (on_BU, 1 - on_BU):
            self.kernel_BB += (pattern_BU @ pattern_BU.T).double().cpu()


def _least(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """The least value that an operator gives, its second argument; None where it has none."""
    least = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
    if isinstance(least, Tensor):
        least = float(least) if least.numel() == 1 else None
    return least


def naswot(network: Network) -> float:
    """log |det K|, K the numbers of rectified units on which two images agree."""
    with network.trained(), torch.no_grad(), _Rectifiers(len(network.images)) as seen:
        network.outputs(network.images)
    if not seen.units:
        raise UndefinedError("the model has no rectified linear units")
    sign, value = torch.linalg.slogdet(seen.kernel_BB)
    if not sign:
        raise UndefinedError("two images switch the same units: the determinant is zero")
    return float(value)
