"""Sizes of experiments: the paper's are those it states."""

from __future__ import annotations

import pytest

from ghn.checkpoint.card import RELEASES
from ghn.experiments.published import rows_of
from ghn.experiments.scales import PAPER, SMALL, hypernetworks, scale_named
from ghn.finetuning import FinetuneConfig


def test_the_paper_s_settings() -> None:
    assert sum(PAPER.splits.values()) == 900
    assert (len(PAPER.models), PAPER.best, PAPER.image_size, PAPER.classes) == (74, 10, 224, 1000)
    training = FinetuneConfig.from_dict(dict(PAPER.training))
    assert (training.optimizer, training.momentum, training.weight_decay, training.batch_size) == (
        "sgd",
        0.9,
        3e-5,
        128,
    )
    assert training.rates == (0.4, 0.1, 0.04, 0.01, 0.001)
    assert training.noise == 1e-5
    # 1k steps are a tenth of an epoch, 10k an epoch of 1.28 M images in batches of 128.
    assert round(1_281_167 / 128, -3) == PAPER.epoch == 10 * PAPER.tenth
    assert (PAPER.meta.meta_batch, PAPER.meta.images, PAPER.meta.penalty, PAPER.meta.learning_rate) == (
        8,
        128,
        3e-5,
        4e-4,
    )
    assert PAPER.meta.steps == 75 * (1_281_167 // 128)


def test_the_hypernetworks_are_those_of_table_2() -> None:
    assert ["random", *hypernetworks(PAPER)] == list(rows_of("table2"))
    for method in hypernetworks(PAPER).values():
        if not method.needs:
            assert method.init.removeprefix("ghn:") in RELEASES
    assert set(hypernetworks(SMALL)) <= set(rows_of("table2"))


def test_a_scale_with_other_images() -> None:
    assert scale_named("small") is SMALL
    other = scale_named("small", "cifar10")
    assert (other.data, other.meta.data, other.models) == ("cifar10", "cifar10", SMALL.models)
    with pytest.raises(ValueError, match="unknown scale 'huge'; there are small, paper"):
        scale_named("huge")
