"""The learning rate over a run."""

from itertools import pairwise

import pytest

from ghn.training.schedule import learning_rate_factor


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0), (1.5, 0.0)]
)
def test_cosine(progress: float, factor: float) -> None:
    assert learning_rate_factor(progress, warmup=0.1, form="cosine") == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 1.0), (0.66, 1.0), (0.67, 0.1), (0.83, 0.1), (0.84, 0.01)])
def test_steps(progress: float, factor: float) -> None:
    assert learning_rate_factor(progress, warmup=0.0, form="steps") == pytest.approx(factor)


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 1.0), (0.33, 1.0), (0.34, 0.1), (0.66, 0.1), (0.67, 0.01)])
def test_thirds(progress: float, factor: float) -> None:
    assert learning_rate_factor(progress, warmup=0.0, form="thirds") == pytest.approx(factor)


def test_it_never_jumps_but_at_a_step() -> None:
    values = [learning_rate_factor(index / 1000, warmup=0.03, form="cosine") for index in range(1001)]
    assert max(abs(after - before) for before, after in pairwise(values)) < 0.04
    assert max(values) == 1.0
