"""NIO against its definition, computed with ordinary gradients."""

from __future__ import annotations

import pytest
import torch

from ghn.initializers import create
from ghn.initializers.learned.network import ScaledNetwork
from ghn.initializers.learned.nio import NIO, mean_cosine, sub_batches
from tests.initializers.learned.networks import gradients_of, tiny, tiny_images


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_norm_and_cosine_by_hand(optimizer: str) -> None:
    model, given = tiny(), tiny_images(count=9)
    start = NIO(f"{optimizer},parts=3,overlap=0.5")
    norm, objective = start.problem(ScaledNetwork("x", model), given, 0)
    images, labels = given[0]
    flat = []
    # Three parts of four or five images, half of them shared: 9 / (1 + 2 · 0.5) = 4.5, rounded to even.
    for first in (0, 2, 5):
        gradients = gradients_of(model, (images[first : first + 4], labels[first : first + 4]))
        flat.append(torch.cat([gradient.flatten() for gradient in gradients.values()]))
    norms = [vector.norm() if optimizer == "sgd" else vector.abs().sum() for vector in flat]
    assert float(norm.detach()) == pytest.approx(float(max(norms)))
    cosines = [torch.cosine_similarity(flat[i], flat[j], 0) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert float(objective().detach()) == pytest.approx(-float(sum(cosines) / 3))


def test_cosines_of_vectors() -> None:
    one = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([0.0])}
    other = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([1.0])}
    assert float(mean_cosine([one, other])) == pytest.approx(0.5**0.5)
    # What only one of them has counts in its norm.
    assert float(mean_cosine([one, {"a": torch.tensor([2.0, 0.0])}])) == pytest.approx(1.0)


def test_sub_batches_overlap() -> None:
    batch = torch.arange(9), torch.arange(9)
    assert [part[1].tolist() for part in sub_batches(batch, 2, 0.2)] == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8]]
    assert [part[1].tolist() for part in sub_batches((batch[0][:8], batch[1][:8]), 2, 0.0)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]
    with pytest.raises(ValueError, match="nio needs two images in each of 8 parts of a batch, not 9 in all"):
        sub_batches(batch, 8, 0.0)


@pytest.mark.parametrize("argument", ["nio:steps=60", "nio:adam,steps=60", "nio:gamma=0.3,steps=60"])
def test_the_cosine_rises_and_the_bound_holds(argument: str) -> None:
    model, given = tiny(), tiny_images(count=20)
    start = create(argument).steps[-1]
    assert isinstance(start, NIO)
    before = start.judge(ScaledNetwork("x", model), given)
    report = start(model, given)
    after = start.judge(ScaledNetwork("x", model), given)
    assert after.excess == 0
    assert before.excess > 0 or -after.objective > -before.objective
    assert f"gradient cosine {-after.objective:.4g}" in report.notes[0]
    assert not report.kept


def test_it_needs_two_images_for_each_part() -> None:
    assert create("nio").needs_images == 8
    assert create("nio:parts=10").needs_images == 20
