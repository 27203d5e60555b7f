"""Settings of a detector's training: the tutorial's."""

from __future__ import annotations

import pytest

from ghn.finetuning.detection.config import DetectionConfig


def test_the_defaults_are_the_tutorial_s() -> None:
    config = DetectionConfig()
    assert (config.optimizer, config.learning_rate, config.momentum, config.weight_decay) == ("sgd", 0.005, 0.9, 5e-4)
    assert (config.epochs, config.batch_size, config.test_images) == (10, 2, 50)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the start default\+calibrate needs images with classes"):
        DetectionConfig(init="default+calibrate")
    with pytest.raises(ValueError, match="trainable must be at most 5, not 6"):
        DetectionConfig(trainable=6)
    with pytest.raises(ValueError, match=r"unknown|no start|did you mean|there is"):
        DetectionConfig(init="nothing-like-this")
