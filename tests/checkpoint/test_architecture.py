"""Which hypernetwork tensors are, by their keys and shapes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ghn.checkpoint import CheckpointError
from ghn.checkpoint.architecture import (
    MAX_LAYERS,
    check_finite,
    check_shapes,
    expected_shapes,
    infer_config,
    normalize,
    skeleton,
)
from ghn.checkpoint.convert import read_hypernetwork
from ghn.hypernet.config import PRESETS, GHNConfig
from ghn.model import GHN
from tests.checkpoint.files import (
    FORMATS,
    TINY,
    TINY_GHN2,
    TINY_MLP,
    dumped,
    random_state,
    same,
    training_file,
    training_state,
)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("num_classes", [10, 1000])
def test_skeleton_has_the_layout_without_the_numbers(name: str, num_classes: int) -> None:
    config = GHNConfig.preset(name, num_classes=num_classes)
    module = skeleton(config, GHN)
    assert all(parameter.is_meta for parameter in module.parameters())
    if name in ("ghn3-t", "ghn2", "mlp"):
        real = GHN(config).state_dict()
        assert expected_shapes(config) == {key: tuple(tensor.shape) for key, tensor in real.items()}


def test_published_keys_are_ours(reference: Path) -> None:
    import gzip

    for name in ("ghn3-t", "ghn2", "ghn3-xl"):
        with gzip.open(reference / "golden" / f"torchvision_{name}.json.gz") as file:
            shapes = json.load(file)["state_dict_shapes"]
        assert expected_shapes(GHNConfig.preset(name)) == {key: tuple(shape) for key, shape in shapes.items()}


def test_config_decides_what_shapes_cannot_show(tmp_path: Path) -> None:
    file = tmp_path / "training.pt"
    file.write_bytes(dumped(torch.save, training_file(random_state(), {"is_ghn2": True})))
    assert not read_hypernetwork(file)[0].centered_crop
    file.write_bytes(dumped(torch.save, training_file(random_state(), {"is_ghn2": False})))
    assert read_hypernetwork(file)[0].centered_crop


@pytest.mark.parametrize(
    "changes", [{"centrality": False}, {"input_distance": False}, {"max_channels": 8}, {"spatial": 5}]
)
def test_ablations_follow_from_the_shapes(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = GHNConfig(**TINY.to_dict() | changes)
    (tmp_path / "published.pt").write_bytes(FORMATS["joblib"](random_state(config)))
    assert read_hypernetwork(tmp_path / "published.pt")[0] == config


def test_without_edge_embedding_the_heads_come_from_the_options(tmp_path: Path) -> None:
    config = GHNConfig(**TINY.to_dict() | {"forward_edges": False, "backward_edges": False})
    file = tmp_path / "training.pt"
    file.write_bytes(dumped(torch.save, training_file(random_state(config), {"heads": 2})))
    assert read_hypernetwork(file)[0] == config


@pytest.mark.parametrize("config", [TINY, TINY_GHN2, TINY_MLP], ids=lambda config: config.encoder)
def test_shapes_tell_the_architecture(config: GHNConfig) -> None:
    shapes = expected_shapes(config)
    assert infer_config(shapes) == config
    check_shapes(shapes, config)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_told_by_their_shapes(name: str) -> None:
    config = GHNConfig.preset(name)
    assert infer_config(expected_shapes(config)) == config


@pytest.mark.parametrize("wrap", ["", "module.", "_orig_mod.", "module._orig_mod.", "module.module."])
def test_normalize_undoes_wrappers_whatever_their_order(wrap: str) -> None:
    state = random_state()
    published = {wrap + key.removeprefix("module."): tensor for key, tensor in training_state(state).items()}
    assert same(normalize(published), state)
    assert list(normalize(published)) == list(state)


def test_normalize_leaves_alone_what_only_some_keys_begin_with() -> None:
    state = {"module.a": torch.ones(2), "b": torch.ones(3, 2, 1, 1), "c": torch.ones(3, 2, 1, 2)}
    found = normalize(state)
    assert list(found) == ["module.a", "b", "c"]
    assert [tuple(tensor.shape) for tensor in found.values()] == [(2,), (3, 2), (3, 2, 1, 2)]
    assert found["b"].data_ptr() == state["b"].data_ptr()


def test_normalize_refuses_two_keys_that_become_one() -> None:
    with pytest.raises(CheckpointError, match=r"^holds centrality_embed_in\.weight twice$"):
        normalize({"centrality_embed_in.weight": torch.ones(1), "gnn.0.centrality_embed_in.weight": torch.ones(1)})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, r"^is no graph hypernetwork: it has no encoder"),
        ({"fc.weight": (1,)}, r"no encoder \(gnn\.…\) but fc\.weight$"),
        ({f"k{index}": (1,) for index in range(5)}, "but k0, k1, k2 and 2 more$"),
        ({f"gnn.{index}.ln1.weight": (4,) for index in range(MAX_LAYERS + 1)}, "has 257 encoder layers; at most 256"),
        ({"gnn.0.ln1.weight": (4,)}, r"it has no embed\.weight but gnn\.0\.ln1\.weight$"),
        ({"gnn.fc.0.weight": (4, 4), "embed.weight": (4,)}, r"its embed\.weight has shape \(4,\), not two axes"),
        ({"\x1b[31m": (1,)}, r"but \\x1b\[31m$"),
    ],
)
def test_what_is_no_hypernetwork(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        infer_config(shapes)


def test_all_faults_are_in_one_line() -> None:
    shapes: dict[str, tuple[int, ...]] = dict(expected_shapes(TINY))
    del shapes["ln.bias"]
    shapes |= {"more": (1,), "ln.weight": (5,)}
    with pytest.raises(CheckpointError) as error:
        check_shapes(shapes, TINY)
    assert str(error.value) == (
        "does not fit the graphormer hypernetwork (D=4, C=3, S=2, O=2, L=2, H=2): it lacks ln.bias; "
        "it also has more; it has ln.weight in other shapes (ln.weight: (5,), not (4,))"
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_that_are_not_finite(value: float, dtype: torch.dtype) -> None:
    sound = torch.tensor([[torch.finfo(dtype).max, torch.finfo(dtype).min]], dtype=dtype)
    check_finite({"a": sound, "b": torch.zeros((), dtype=dtype)})
    with pytest.raises(CheckpointError, match=r"^holds a NaN or infinity in b$"):
        check_finite({"a": sound, "b": torch.tensor([0, value, 1], dtype=dtype)})


@pytest.mark.parametrize(("stored", "heads"), [(None, 8), ({}, 8), ({"heads": 4}, 4)])
def test_heads_that_nothing_tells_are_those_of_the_released_hypernetworks(
    stored: dict[str, Any] | None, heads: int
) -> None:
    sizes = TINY.to_dict() | {"hidden": 16, "heads": heads, "forward_edges": False, "backward_edges": False}
    config = GHNConfig(**sizes)
    assert infer_config(expected_shapes(config), stored) == config
