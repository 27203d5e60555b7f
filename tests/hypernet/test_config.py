"""Configurations and presets."""

import json

import pytest

from ghn.hypernet import PRESETS, GHNConfig


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("num_classes", "spatial"), [(1000, 16), (10, 11), (100, 11), (37, 16)])
def test_presets(name: str, num_classes: int, spatial: int) -> None:
    config = GHNConfig.preset(name, num_classes=num_classes)
    assert (config.num_classes, config.spatial) == (num_classes, spatial)
    assert GHNConfig.preset(name, num_classes=num_classes, spatial=9).spatial == 9
    assert GHNConfig(**json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"encoder": "gnn"}, "encoder must be graphormer, gated_gnn or mlp, not 'gnn'"),
        ({"hidden": 30}, "multiple of 4"),
        ({"hidden": "64"}, "hidden must be of type int, not '64'"),
        ({"layers": 3.0}, "layers must be of type int"),
        ({"num_classes": True}, "num_classes must be of type int"),
        ({"centrality": 1}, "centrality must be of type bool"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
        ({"max_channels": -1}, "max_channels must be at least 1"),
        ({"spatial": 0}, "spatial must be at least 1"),
        ({"layers": 0}, "at least one layer"),
        ({"heads": 7}, "7 does not divide 64"),
    ],
)
def test_bad_values(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        GHNConfig(**changes)  # type: ignore[arg-type]


def test_unknown_preset() -> None:
    with pytest.raises(ValueError, match="unknown preset 'ghn4'; there are ghn3-t, "):
        GHNConfig.preset("ghn4")
