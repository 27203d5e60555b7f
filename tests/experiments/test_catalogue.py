"""Experiments by name."""

from __future__ import annotations

import pytest

from ghn.experiments.catalogue import experiment_named


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("table 4", "did you mean table4"),
        ("Figure6", "did you mean figure6"),
        ("tabel11", "did you mean table11"),
        ("nonsense", "there are table1, table2"),
        ("\x1b[31m", "there are table1"),
    ],
)
def test_an_unknown_name_has_the_nearest_ones(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match="unknown experiment") as caught:
        experiment_named(name)
    assert hint in str(caught.value)
    assert str(caught.value).isprintable()
