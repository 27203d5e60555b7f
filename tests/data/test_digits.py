"""The digits of scikit-learn."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ghn.data import DataError, load
from ghn.data.digits import load_digits

sklearn_datasets = pytest.importorskip("sklearn.datasets")


def test_digits_need_no_files(tmp_path: Path) -> None:
    train, test = (load("digits", root=tmp_path, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1297, 500)
    assert train.images.shape[1:] == (3, 32, 32)
    values = train.images.float() / 255
    assert torch.allclose(values.mean(dim=(0, 2, 3)), torch.tensor(train.mean), atol=2e-3)
    assert torch.allclose(values.std(dim=(0, 2, 3)), torch.tensor(train.std), atol=2e-3)


def test_they_are_those_of_scikit_learn_at_their_own_size() -> None:
    digits = sklearn_datasets.load_digits()
    parts = [load_digits(split, image_size=8) for split in ("train", "test")]  # type: ignore[arg-type]
    images, labels = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    grey = np.rint(digits.images * 255 / 16)
    for channel in range(3):
        assert np.array_equal(images[:, channel].numpy(), grey)
    assert np.array_equal(labels.numpy(), digits.target)
    assert not parts[0].flip


@pytest.mark.parametrize("image_size", [1, 31, 64])
def test_any_size(image_size: int) -> None:
    digits = load_digits("test", image_size=image_size)
    assert digits.images.shape == (500, 3, image_size, image_size)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match=r"pip install 'ghn\[train\]'"):
        load_digits("train")
