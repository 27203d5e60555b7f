"""What is found out of a model before anything is predicted; what follows is tested beside `one.py` and `many.py`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ghn.initialization.wish import Wish
from tests.hypernet.conftest import small_hypernet
from tests.initialization.test_one import PREDICTED, Net, graph_of_net


def a_wish(**changes: Any) -> Wish:
    options: dict[str, Any] = {"example_inputs": None, "seed": 0, "head": "keep", "strict": None}
    return Wish(hypernet=small_hypernet(), **{**options, **changes})


def test_a_model_is_looked_through() -> None:
    model = Net(classes=7)
    graph = graph_of_net(model)
    prepared = a_wish().prepared(model, graph)
    assert prepared.graph is graph
    assert prepared.model is model
    assert set(prepared.predictable) == {*PREDICTED} - {"head.weight", "head.bias"}
    assert set(prepared.parameters) == {*prepared.predictable, *prepared.kept}
    assert prepared.predictable["conv.weight"] is model.conv.weight
    predicted = sum(parameter.numel() for parameter in prepared.predictable.values())
    assert prepared.fraction == pytest.approx(predicted / sum(p.numel() for p in model.parameters()))
    assert set(a_wish(head="predict").prepared(model, graph).predictable) == set(PREDICTED)


def test_only_what_is_written_needs_memory_and_shapes() -> None:
    with torch.device("meta"):
        model = Net()
    wish = a_wish()
    assert wish.prepared(model, graph_of_net(model)).fraction > 0
    with pytest.raises(ValueError, match=r"conv\.weight is on the meta device"):
        wish.prepared_to_write(model, graph_of_net(model))
    lazy = nn.Sequential(nn.LazyLinear(12), nn.Linear(12, 3))
    prepared = a_wish(example_inputs=torch.zeros(2, 5)).prepared_to_write(lazy)
    assert lazy[0].weight.shape == (12, 5)
    assert "0.weight" in prepared.predictable


@pytest.mark.parametrize("strict", [-0.1, 1.1])
def test_strict_is_checked_before_anything_is_traced(strict: float) -> None:
    with pytest.raises(ValueError, match="strict is a fraction of all elements, between 0 and 1, not"):
        a_wish(strict=strict)


def test_several_at_once_are_each_alone() -> None:
    wish = a_wish()
    models = [Net(), Net(classes=7), Net()]
    batch = [wish.prepared(model, graph_of_net(model)) for model in models]
    reports = wish.initialize(batch)
    for model, prepared, report in zip(models, batch, reports, strict=True):
        assert report.predicted == tuple(prepared.predictable)
        assert report.kept == prepared.kept
        weights = [model.get_parameter(name).detach().flatten() for name in report.predicted]
        assert report.total_norm == pytest.approx(float(torch.cat(weights).norm()), rel=1e-5)
