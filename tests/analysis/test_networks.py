"""Networks, their starts and their images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from ghn.analysis.config import AnalysisConfig
from ghn.analysis.networks import Networks, name_of
from tests.analysis.networks import BROKEN, SMALL, WIDER, Small

pytest.importorskip("sklearn")


def test_networks_have_the_classes_and_size_of_the_data() -> None:
    networks = Networks(AnalysisConfig(models=(SMALL,), splits={"test": 2}, images=5))
    assert [name_of(candidate) for candidate in networks.candidates] == ["test/0", "test/1", SMALL]
    images, labels = networks.batch
    assert images.shape == (5, 3, networks.image_size, networks.image_size)
    assert int(labels.max()) < networks.classes == 10
    assert networks.shown == f"5 images of digits, {networks.image_size} pixels"
    for candidate in networks.candidates:
        model = networks.started(candidate, "default")
        assert model(images).shape == (5, 10)
        assert not model.training


def test_noise_has_any_size_and_number_of_classes() -> None:
    networks = Networks(AnalysisConfig(models=(SMALL,), data="noise", image_size=20, num_classes=7, images=3))
    assert networks.batch[0].shape == (3, 3, 20, 20)
    assert networks.shown == "3 images of noise, 20 pixels"
    assert networks.started(networks.candidates[0], "default").head.out_features == 7  # type: ignore[union-attr]
    again = Networks(AnalysisConfig(models=(SMALL,), data="noise", image_size=20, num_classes=7, images=3))
    assert torch.equal(networks.batch[0], again.batch[0])


def test_images_of_a_folder_get_the_size_that_is_asked_for(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("RGB", (9, 9), (40 * number, 0, 0)).save(tmp_path / name / f"{number}.png")
    networks = Networks(AnalysisConfig(models=(SMALL,), data=str(tmp_path), image_size=16, images=4))
    assert networks.batch[0].shape == (4, 3, 16, 16)
    assert networks.classes == 2
    assert networks.shown == f"4 images of {tmp_path.name}, 16 pixels"


def test_the_same_seed_gives_the_same_start_and_leaves_the_random_state() -> None:
    networks = Networks(AnalysisConfig(models=(SMALL,), starts=("default", "orthogonal")))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, second = (networks.started(networks.candidates[0], "default") for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.first.weight, second.first.weight)  # type: ignore[union-attr, arg-type]
    other = networks.started(networks.candidates[0], "orthogonal")
    assert not torch.equal(first.first.weight, other.first.weight)  # type: ignore[union-attr, arg-type]


def test_networks_that_begin_alike_have_other_random_numbers() -> None:
    networks = Networks(AnalysisConfig(models=("resnet18,num_classes=10", "resnet34,num_classes=10")))
    first, second = (networks.started(candidate, "default").conv1.weight for candidate in networks.candidates)  # type: ignore[union-attr]
    assert first.shape == second.shape  # type: ignore[union-attr]
    assert not torch.equal(first, second)  # type: ignore[arg-type]


def test_trained_weights_lie_in_a_folder(tmp_path: Path) -> None:
    trained = Small(10)
    name = "tests.analysis.networks:small"
    torch.save(trained.state_dict(), tmp_path / f"{name}.pt")
    config = AnalysisConfig(models=(SMALL, WIDER), starts=("trained",), trained=str(tmp_path))
    networks = Networks(config)
    model = networks.started(networks.candidates[0], "trained")
    assert torch.equal(model.first.weight, trained.first.weight)  # type: ignore[union-attr, arg-type]
    before = networks.digest(networks.candidates[0], "trained")
    torch.save(Small(10).state_dict(), tmp_path / f"{name}.pt")
    assert networks.digest(networks.candidates[0], "trained") != before != ""
    with pytest.raises(ValueError, match=r"holds no weights of tests.analysis.networks:wider; put .* there"):
        networks.started(networks.candidates[1], "trained")


def test_structures_are_those_of_splits_and_models() -> None:
    networks = Networks(AnalysisConfig(models=(SMALL,), splits={"test": 1}, data="noise", image_size=32,
        num_classes=10))  # fmt: skip
    split, small = networks.structures()
    assert (split.name, split.family) == ("test/0", "test")
    assert (small.name, small.family) == (SMALL, "Small")
    assert small.parameters == sum(parameter.numel() for parameter in Small(10).parameters())
    assert [node.op for node in small.graph.nodes].count("conv") == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("resnet81",)}, "did you mean resnet18"),
        ({"data": "digitz"}, "digitz is no folder, and no data set"),
        ({"data": "cifar10", "data_root": "/nowhere"}, "cifar"),
    ],
)
def test_what_there_is_not_is_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Networks(AnalysisConfig(**{"models": (SMALL,), **settings}))  # type: ignore[arg-type]


def test_networks_that_cannot_be_traced_are_passed_over_and_named() -> None:
    networks = Networks(AnalysisConfig(models=(BROKEN, SMALL), data="noise", image_size=12, num_classes=3))
    assert [structure.name for structure in networks.structures()] == [SMALL]
    assert list(networks.failed) == [BROKEN]
    assert "has no parameters" in networks.failed[BROKEN]
    none = Networks(AnalysisConfig(models=(BROKEN,), data="noise", image_size=12, num_classes=3))
    with pytest.raises(ValueError, match=r"no network could be looked at: .*Broken failed: .*has no parameters"):
        list(none.structures())
