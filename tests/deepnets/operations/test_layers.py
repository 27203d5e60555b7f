from collections.abc import Callable

import pytest
import torch
from torch import nn

from ghn.deepnets.operations.layers import BatchNorm2d, Conv2d, LayerNorm, Linear

LAYERS: list[tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = [
    (lambda: Conv2d(4, 6, 3), lambda: nn.Conv2d(4, 6, 3, bias=False)),
    (lambda: Linear(4, 6), lambda: nn.Linear(4, 6)),
    (lambda: BatchNorm2d(4), lambda: nn.BatchNorm2d(4)),
    (lambda: BatchNorm2d(4, affine=False), lambda: nn.BatchNorm2d(4, affine=False)),
    (lambda: LayerNorm(4), lambda: nn.LayerNorm(4)),
]


@pytest.mark.parametrize(("ours", "theirs"), LAYERS)
def test_they_start_as_those_of_pytorch(ours: Callable[[], nn.Module], theirs: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    state = ours().state_dict()
    torch.manual_seed(0)
    expected = theirs().state_dict()
    assert state.keys() == expected.keys()
    assert all(state[name].equal(expected[name]) for name in state)


@pytest.mark.parametrize("ours", [ours for ours, _ in LAYERS])
def test_no_initial_values_without_storage(ours: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(tensor: torch.Tensor, *arguments: object, **options: object) -> None:
        raise AssertionError("initial values for a layer without storage")

    for initializer in ("kaiming_uniform_", "uniform_", "ones_", "zeros_"):
        monkeypatch.setattr(nn.init, initializer, refused)
    with torch.device("meta"):
        ours()
