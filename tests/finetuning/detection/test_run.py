"""A detector from a start: its backbone, its batches, a training that is stopped and goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ghn.data import DataError
from ghn.finetuning.detection.config import DetectionConfig
from ghn.finetuning.detection.penn_fudan import PennFudan
from ghn.finetuning.detection.run import _batch, make_detector, train_detector
from ghn.initializers import create
from ghn.training.loop import Loop
from ghn.training.signals import StoppedError
from ghn.zoo import ModelRequest, build_model
from tests.finetuning.detection.drawn import draw

pytest.importorskip("torchvision")

CONFIG = DetectionConfig(
    backbone="resnet18", classes=10, steps=4, test_images=2, image_size=64, learning_rate=0.01, log_every=1,
    save_every=1,
)  # fmt: skip


def test_the_backbone_is_the_start_s() -> None:
    torch.manual_seed(0)
    detector, seconds = make_detector(replace(CONFIG, init="default+noise:0.1", seed=3))
    torch.manual_seed(0)
    classifier = build_model(ModelRequest(name="resnet18", num_classes=10)).model
    create("default+noise:0.1")(classifier, seed=3)
    found = detector.get_submodule("backbone.body").state_dict()
    assert not any(name.startswith("fc.") for name in found)
    assert len(found) > 100
    assert all(torch.equal(value, classifier.state_dict()[name]) for name, value in found.items())
    assert seconds >= 0
    with pytest.raises(ValueError, match="must be a ResNet of torchvision"):
        make_detector(replace(CONFIG, backbone="vgg11"))


def test_an_epoch_has_every_image_once_mirrored_with_its_boxes(tmp_path: Path) -> None:
    draw(tmp_path, 6)
    images = PennFudan.open(tmp_path)
    plain = {float(images[index][0].sum()): images[index] for index in range(4)}
    seen = []
    mirrored = 0
    for step in range(2):
        for image, target in _batch(images, CONFIG, 4, step, "cpu"):
            (key,) = [key for key in plain if abs(key - float(image.sum())) < 0.5]
            seen.append(key)
            for x1, y1, x2, y2 in target["boxes"].int().tolist():
                assert float(image[:, y1:y2, x1:x2].max()) < 0.1, "the dark rectangle lies in its box"
            mirrored += not torch.equal(image, plain[key][0])
    assert len(set(seen)) == 4
    assert (
        mirrored
        + sum(
            not torch.equal(image, plain[min(plain, key=lambda key: abs(key - float(image.sum())))][0])
            for step in range(2, 8)
            for image, _ in _batch(images, CONFIG, 4, step, "cpu")
        )
        > 0
    )


@pytest.mark.slow
def test_stopped_it_goes_on_with_the_numbers_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchmetrics")
    pytest.importorskip("pycocotools")
    draw(tmp_path, 6)
    config = replace(CONFIG, data_root=str(tmp_path))
    whole = train_detector(config)
    assert len(whole.losses) == whole.steps == 4
    assert 0 <= whole.average_precision <= 1
    real = Loop.go
    monkeypatch.setattr(Loop, "go", lambda *a, **k: real(*a, **k, stop_after=2))
    with pytest.raises(StoppedError, match="stopped after step 2"):
        train_detector(config, tmp_path / "run")
    monkeypatch.undo()
    again = train_detector(config, tmp_path / "run")
    assert again == whole


def test_too_few_images_are_one_line(tmp_path: Path) -> None:
    draw(tmp_path, 2)
    with pytest.raises(DataError, match="has 2 images here, and 2 are to test on"):
        train_detector(replace(CONFIG, data_root=str(tmp_path)))
