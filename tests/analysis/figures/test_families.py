"""Networks as points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ghn.analysis.architectures import ArchitectureMap
from ghn.analysis.figures.families import draw_map, draw_statistics
from ghn.analysis.statistics import GraphStatistics


def test_a_map_has_a_colour_for_each_family_and_its_shares(drawn: Callable[..., Any]) -> None:
    generator = np.random.default_rng(0)
    count = 45
    found = ArchitectureMap(
        models=tuple(f"network_{number}" for number in range(count)),
        families=tuple(f"Family{number % 30}" for number in range(count)),
        points=generator.normal(size=(count, 2)),
        explained=(0.61, 0.2),
        similarities=np.eye(count),
    )
    figure = drawn(lambda file: draw_map(found, file, "45 networks"))
    (axes,) = figure.axes
    assert "61 % of the variance" in axes.get_xlabel()
    assert sum(len(points.get_offsets()) for points in axes.collections) == count
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == 24
    assert labels[-1].startswith("7 other families")
    looks = {(tuple(points.get_facecolor()[0]), str(points.get_paths()[0].vertices)) for points in axes.collections}
    assert len(looks) == 24
    assert len(axes.texts) > 10


def test_sizes_against_paths(drawn: Callable[..., Any]) -> None:
    rows = [
        GraphStatistics(
            model=f"m{n}",
            family="test",
            nodes=10 * n + 5,
            edges=20,
            parameters=1.0,
            degree=2.0,
            largest_degree=3,
            path_length=float(n),
            primitives={},
        )
        for n in range(3)
    ]
    figure = drawn(lambda file: draw_statistics(rows, file, "3 networks"))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.collections[0].get_offsets().tolist() == [[5, 0], [15, 1], [25, 2]]
    assert {text.get_text() for text in axes.texts} == {"m0", "m1", "m2"}
    assert "edges" in axes.get_ylabel()
