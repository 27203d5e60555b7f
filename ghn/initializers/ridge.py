"""A classifier in closed form: ridge regression on features, its penalty and scale chosen on held-out images.

Legend: n images, d features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

PENALTIES = tuple(10.0**power for power in range(-5, 4))
"""λ, relative to the mean eigenvalue of the features' covariance."""

SCALES = tuple(2.0**power for power in range(-2, 7))
"""Factors on the scores: regression gives them between 0 and 1, cross-entropy wants them further apart."""

HELD_OUT = 0.2
"""Share of the images on which penalty and scale are chosen."""


@dataclass(frozen=True, kw_only=True)
class RidgeHead:
    """A linear classifier.

    Attributes:
        weight: (C, d).
        bias: (C,).
        penalty: λ, relative to the mean eigenvalue.
        scale: Factor on the scores, which weight and bias contain.
        accuracy: On the held-out images, of the one fitted to the others.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    scale: float
    accuracy: float


def fit_ridge(
    features_nd: Tensor, labels_n: Tensor, classes: int, *, intercept: bool = True, seed: int = 0
) -> RidgeHead:
    """Fit scores to one-hot labels: W = (XᵀX + λI)⁻¹ XᵀY with X and Y centred, in double precision.

    Args:
        features_nd: (n, d).
        labels_n: (n,) int64.
        classes: C.
        intercept: Whether there is a bias; without one it is zero, and X is not centred.
        seed: Governs which images are held out.
    """
    X_nd, Y_nC = features_nd.double(), functional.one_hot(labels_n, classes).double()
    held, fitted = (indices.to(X_nd.device) for indices in held_out(len(X_nd), seed))
    solve = _Solver(X_nd[fitted], Y_nC[fitted], intercept)
    found = []
    for penalty in PENALTIES:
        weight_Cd, bias_C = solve(penalty)
        scores_hC = X_nd[held] @ weight_Cd.T + bias_C
        accuracy = float((scores_hC.argmax(1) == labels_n[held]).double().mean())
        losses = [float(functional.cross_entropy(scale * scores_hC, labels_n[held])) for scale in SCALES]
        least = min(losses)
        # Of equal accuracies that with the smaller loss.
        found.append((accuracy, -least, penalty, SCALES[losses.index(least)]))
    accuracy, _, penalty, scale = max(found)
    weight_Cd, bias_C = _Solver(X_nd, Y_nC, intercept)(penalty)
    return RidgeHead(weight=scale * weight_Cd, bias=scale * bias_C, penalty=penalty, scale=scale, accuracy=accuracy)


def held_out(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the images that judge, and of the others, of `count`."""
    order_n = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    judging = max(1, round(HELD_OUT * count))
    return order_n[:judging], order_n[judging:]


class _Solver:
    """Ridge regression for any λ after one decomposition of the smaller of XᵀX and XXᵀ."""

    def __init__(self, X_nd: Tensor, Y_nC: Tensor, intercept: bool) -> None:
        self.intercept = intercept
        self.mean_d = X_nd.mean(0) if intercept else torch.zeros_like(X_nd[0])
        # Without an intercept scores are compared with each other only: what all classes share is left out.
        self.mean_C = Y_nC.mean(0) if intercept else Y_nC.mean().expand(Y_nC.shape[1])
        self.X_nd, Y_nC = X_nd - self.mean_d, Y_nC - self.mean_C
        self.primal = X_nd.shape[1] <= X_nd.shape[0]
        gram = self.X_nd.T @ self.X_nd if self.primal else self.X_nd @ self.X_nd.T
        values, self.vectors = torch.linalg.eigh(gram)
        self.values = values.clamp_min(0)
        self.target = self.vectors.T @ (self.X_nd.T @ Y_nC if self.primal else Y_nC)
        self.unit = float(self.values.sum()) / max(1, X_nd.shape[1]) or 1.0

    def __call__(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Weight (C, d) and bias (C,)."""
        solved = self.vectors @ (self.target / (self.values + penalty * self.unit)[:, None])
        weight_Cd = (solved if self.primal else self.X_nd.T @ solved).T
        return weight_Cd, (self.mean_C - weight_Cd @ self.mean_d) * self.intercept
