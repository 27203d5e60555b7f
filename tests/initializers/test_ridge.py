"""Ridge regression against its normal equations."""

from __future__ import annotations

import pytest
import torch

from ghn.initializers.ridge import HELD_OUT, _Solver, fit_ridge


@pytest.mark.parametrize(("n", "d"), [(40, 6), (6, 40), (12, 12)])
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 100.0])
def test_the_solution_is_that_of_the_normal_equations(n: int, d: int, penalty: float) -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n, d, generator=generator, dtype=torch.float64) + 2
    Y = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    solver = _Solver(X, Y, True)
    weight, bias = solver(penalty)
    centred, wanted = X - X.mean(0), Y - Y.mean(0)
    unit = float(centred.square().sum()) / d
    expected = torch.linalg.solve(
        centred.T @ centred + penalty * unit * torch.eye(d, dtype=torch.float64), centred.T @ wanted
    )
    torch.testing.assert_close(weight, expected.T)
    torch.testing.assert_close(X.mean(0) @ weight.T + bias, Y.mean(0))


def test_without_an_intercept_the_bias_is_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (60,), generator=generator)
    features = torch.eye(3)[labels] + 5 + 0.1 * torch.randn(60, 3, generator=generator)
    head = fit_ridge(features, labels, 3, intercept=False)
    assert not head.bias.any()
    assert head.accuracy > 0.9


def test_the_penalty_is_chosen_on_images_that_were_not_fitted() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (100,), generator=generator)
    # One feature tells the class; a hundred others tell only which image it is.
    features = torch.randn(100, 101, generator=generator)
    features[:, 0] += 3.0 * labels
    head = fit_ridge(features, labels, 2)
    assert head.penalty >= 0.1
    assert head.accuracy > 0.8
    assert round(HELD_OUT * 100) == 20
    assert head.accuracy * 20 == pytest.approx(round(head.accuracy * 20))


def test_constant_features_give_the_most_frequent_class() -> None:
    labels = torch.tensor([0, 1, 1, 1] * 5)
    head = fit_ridge(torch.ones(20, 4), labels, 3)
    scores = torch.ones(1, 4).double() @ head.weight.T + head.bias
    assert int(scores.argmax()) == 1
    assert bool(head.weight.isfinite().all())
