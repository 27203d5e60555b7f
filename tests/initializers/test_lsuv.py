"""Unit variance, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.initializers import create
from ghn.initializers.layers import layers_of
from ghn.initializers.lsuv import TOLERANCE, USUAL, tame
from tests.initializers.networks import images, small, state


def deep() -> nn.Module:
    torch.manual_seed(0)
    layers = [layer for _ in range(6) for layer in (nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.ReLU())]
    return nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


@pytest.mark.parametrize("name", ["lsuv", "unit-variance"])
def test_every_layer_computes_unit_variance(name: str) -> None:
    model, given = deep(), images()
    before = state(model)
    report = create(name)(model, given)
    variances: list[float] = []
    for module in model:  # type: ignore[attr-defined]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda _, __, output: variances.append(float(output.var(correction=0))))
    with torch.no_grad():
        model(given[0][0])
    assert len(variances) == 8
    assert all(abs(variance - 1) < TOLERANCE for variance in variances)
    assert len(report.changed) == 8
    weight, old = model.get_parameter("1.weight").detach().flatten(1), before["1.weight"].flatten(1)
    if name == "lsuv":
        gram = weight @ weight.T
        torch.testing.assert_close(gram / gram[0, 0], torch.eye(4), atol=1e-4, rtol=0)
    else:
        torch.testing.assert_close(weight / weight.norm(), old / old.norm())


def test_buffers_modes_and_random_state_stay() -> None:
    model, random = small(), torch.get_rng_state()
    before = state(model)
    create("lsuv")(model.eval(), images())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), random)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name])


def test_a_layer_of_zeros_is_left_and_named() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    zeros = [(torch.zeros(16, 3, 4, 4), torch.zeros(16, dtype=torch.int64))]
    nn.init.zeros_(model[0].bias)  # type: ignore[arg-type]
    report = create("unit-variance")(model, zeros)
    assert report.kept["0.weight"] == "the variance of what it computes is 0"


def variances(model: nn.Module, given: torch.Tensor) -> dict[str, float]:
    """Of what each convolution and linear layer computes, by name."""
    found: dict[str, float] = {}

    def look(name: str) -> object:
        return lambda _, __, output: found.__setitem__(name, float(output.var(correction=0)))

    handles = [
        module.register_forward_hook(look(name))  # type: ignore[arg-type]
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        model(given)
    for handle in handles:
        handle.remove()
    return found


def test_only_what_explodes_or_vanishes_is_scaled() -> None:
    model, given = deep(), images()
    torch.nn.init.normal_(model[1].weight, std=1e4)  # type: ignore[index, arg-type]
    with torch.no_grad():
        model[7].weight.mul_(1e-8)  # type: ignore[index, union-attr, operator]
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    before = state(model)
    changed, notes = tame(model, layers_of(model, given), given[0][0])
    found = variances(model, given[0][0])
    assert found["1"] == pytest.approx(1, rel=1e-3)
    inner = {name: value for name, value in found.items() if name != "15"}
    assert all(USUAL[0] <= value <= USUAL[1] for value in inner.values()), found
    # What came after the wrong ones was wrong by them alone, but for what is far off now.
    assert changed[:2] == ["1.weight", "7.weight"]
    assert notes[0].startswith("1.weight: the variance was ")
    for name, value in state(model).items():
        assert (name in changed) == (not torch.equal(value, before[name]))


def test_sound_networks_zeros_and_heads_stay() -> None:
    model, given = small(), images()
    nn.init.zeros_(model[4].weight)  # type: ignore[index, arg-type]
    nn.init.normal_(model[9].weight, std=1e-6)  # type: ignore[index, arg-type]
    before = state(model)
    assert tame(model, layers_of(model, given), given[0][0]) == ([], [])
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())


def test_what_is_not_finite_is_named() -> None:
    model, given = deep(), images()
    with torch.no_grad():
        model[3].weight.fill_(torch.inf)  # type: ignore[index, union-attr, operator]
    assert tame(model, layers_of(model, given), given[0][0]) == ([], ["what 3.weight computes is not finite"])
