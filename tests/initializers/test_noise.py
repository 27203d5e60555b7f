"""Noise on parameters."""

from __future__ import annotations

import pytest
from torch import nn

from ghn.initializers import create
from tests.initializers.networks import state


@pytest.mark.parametrize("amount", ["0.01", "0.3rel"])
def test_noise_has_the_deviation_that_was_asked_for(amount: str) -> None:
    model = nn.Sequential(nn.Linear(100, 90), nn.Linear(90, 80))
    before = state(model)
    report = create(f"noise:{amount}")(model)
    assert set(report.changed) == set(before)
    for name, value in before.items():
        scale = 0.01 if amount == "0.01" else 0.3 * float(value.std())
        assert float((model.get_parameter(name).detach() - value).std()) == pytest.approx(scale, rel=0.3)
