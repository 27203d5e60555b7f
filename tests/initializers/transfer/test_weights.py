"""A file's weights into their model, or one line on what differs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.checkpoint import CheckpointError
from ghn.initializers.transfer.weights import load_weights
from tests.initializers.networks import small, state


def other(classes: int = 3) -> nn.Module:
    """`small` with other numbers everywhere, statistics and counts included."""
    model = small(classes)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(torch.rand(value.shape) * 5 + 1)
    return model


def test_parameters_and_buffers_are_those_of_the_file() -> None:
    model, source = small(), other()
    changed, kept = load_weights(model, source.state_dict(), "a.pt")
    assert set(changed) == source.state_dict().keys()
    assert not kept
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in state(model).items())


def test_a_head_of_other_classes_stays() -> None:
    model = small(4)
    before, source = state(model), other(3).state_dict()
    changed, kept = load_weights(model, source, "a.pt", torch.zeros(2, 3, 12, 12))
    assert kept == dict.fromkeys(("9.weight", "9.bias"), "a classification head of 4 classes; the file's has 3")
    assert set(changed) == source.keys() - kept.keys()
    for name, value in state(model).items():
        assert torch.equal(value, before[name] if name in kept else source[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("1.running_mean"), "it lacks 1.running_mean$"),
        (lambda s: s.update({"x": torch.ones(1)}), "it holds x$"),
        (
            lambda s: s.update({"4.weight": torch.ones(8, 6, 1, 1)}),
            r"other shapes have 4.weight \(8×6×1×1, here 8×6×3×3\)$",
        ),
        (lambda s: s.clear(), r"it lacks 0.weight, 0.bias, 1.weight and 10 more$"),
        (lambda s: s.update({"1.bias": torch.ones(7), "y": torch.ones(1)}), r"it holds y; other shapes have 1.bias"),
        (lambda s: s.update({"9.bias": torch.ones(7), "9.weight": torch.ones(5, 8)}), "other shapes have 9.weight"),
    ],
)
def test_other_differences_are_one_line_and_change_nothing(change, message: str) -> None:  # type: ignore[no-untyped-def]
    model, weights = small(), other().state_dict()
    before = state(model)
    change(weights)
    with pytest.raises(CheckpointError, match=f"a.pt does not hold the weights of this Sequential: .*{message}"):
        load_weights(model, weights, "a.pt")
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())


def test_other_names_and_counts_may_lack() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    model.get_submodule("1").weight = model.get_parameter("0.weight")  # type: ignore[assignment]
    weights = {name: torch.rand(value.shape) for name, value in model.state_dict().items()}
    del weights["1.weight"], weights["2.num_batches_tracked"]
    load_weights(model, weights, "a.pt")
    assert torch.equal(model.get_parameter("1.weight"), weights["0.weight"])
    assert torch.equal(model.get_buffer("2.running_var"), weights["2.running_var"])


def test_buffers_that_no_file_holds_are_named() -> None:
    model = small()
    model.register_buffer("scratch", torch.ones(2), persistent=False)
    _, kept = load_weights(model, other().state_dict(), "a.pt")
    assert kept == {"scratch": "a.pt does not hold it"}
