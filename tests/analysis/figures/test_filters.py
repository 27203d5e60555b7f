"""Pictures of filters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ghn.analysis.figures.filters import draw_filters, mosaic
from ghn.analysis.records import Record


def record(model: str, start: str, count: int = 5, error: str | None = None) -> Record:
    tensors = {"filters": torch.randn(count, 3, 3, 3, generator=torch.Generator().manual_seed(count))}
    values = {"layer": "conv1.weight", "filters": count, "distinct": count, "distance": 0.5}
    return Record(model=model, family="", start=start, values=values, tensors=tensors, error=error)


def test_each_filter_stands_in_its_place() -> None:
    filters = torch.randn(5, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    picture = mosaic(filters)
    # Three across, two down, with a line between.
    assert picture.shape == (2 * 3 - 1, 3 * 5 - 1, 3)
    for number, one in enumerate(filters.double().numpy()):
        y, x = divmod(number, 3)
        tile = picture[3 * y : 3 * y + 2, 5 * x : 5 * x + 4]
        expected = (one - one.min()) / (one.max() - one.min())
        assert tile == pytest.approx(expected.transpose(1, 2, 0))
    assert (picture[2] == 1).all()
    assert (picture[3:, 10:] == 1).all()


def test_constant_filters_and_other_channels_are_shown_too() -> None:
    assert (mosaic(torch.ones(1, 3, 2, 2)) == 0).all()
    grey = mosaic(torch.randn(1, 4, 2, 2))
    assert np.ptp(grey, axis=2).max() == 0


def test_networks_down_and_starts_across(drawn: Callable[..., Any]) -> None:
    starts = ("default", "ghn:a-long-name-of-a-hypernetwork+noise:0.1")
    found = [record(model, start, 64) for model in ("resnet18", "vgg11") for start in starts]
    found.append(record("alexnet", "default", error="it broke"))
    figure = drawn(lambda file: draw_filters(found, file))
    assert len(figure.axes) == 4
    assert "resnet18, default" in figure.axes[0].get_title()
    assert "64 of 64 filters differ" in figure.axes[0].get_title()


def test_too_many_networks_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has room for 12 networks, not 13"):
        draw_filters([record(f"net{n}", "default") for n in range(13)], tmp_path / "a.png")
    with pytest.raises(ValueError, match="no filters to draw"):
        draw_filters([record("a", "default", error="it broke")], tmp_path / "a.png")
