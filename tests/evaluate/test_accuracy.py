"""Accuracy with batch statistics against the definition."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ghn.data import ImageSet, ImageStream
from ghn.evaluate.accuracy import score, scores_of, use_batch_statistics


def some_images(count: int = 30, classes: int = 10) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    return ImageSet(
        name="toy",
        images=torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8),
        labels=torch.randint(0, classes, (count,), generator=generator),
        classes=tuple(map(str, range(classes))),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


def a_network(classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(216, classes)
    )


@pytest.mark.parametrize(
    ("there", "images", "batches"),
    [
        (30, None, [8, 8, 8, 6]),
        (30, 1000, [8, 8, 8, 6]),
        (30, 29, [8, 8, 8, 5]),
        (30, 26, [8, 8, 8, 2]),
        (30, 25, [8, 8, 9]),
        (25, None, [8, 8, 9]),
        (24, None, [8, 8, 8]),
        (30, 16, [8, 8]),
        (30, 11, [8, 3]),
        (30, 9, [9]),
        (30, 2, [2]),
    ],
)
@pytest.mark.parametrize("as_weights", [False, True])
def test_it_is_the_mean_over_batches_with_their_own_statistics(
    there: int, images: int | None, batches: list[int], as_weights: bool
) -> None:
    image_set = some_images(there)
    stream = ImageStream(image_set, batch_size=8, seed=1)
    network = a_network()
    reference = copy.deepcopy(network)
    use_batch_statistics(network)
    weights = {name: value.detach() for name, value in network.named_parameters()} if as_weights else None
    scores = score(network.to("meta").eval() if as_weights else network.eval(), stream, weights=weights, images=images)

    right = right5 = seen = 0
    losses = []
    reference.train()
    reference.get_submodule("3").eval()
    # The order in which batches of one image come is that of the epoch.
    singles = list(ImageStream(image_set, batch_size=1, seed=1).epoch())
    for size in batches:
        inputs, labels = map(torch.cat, zip(*singles[seen : seen + size], strict=True))
        outputs = reference(inputs).detach()
        for row, label in zip(outputs, labels.tolist(), strict=True):
            order = row.argsort(descending=True).tolist()
            right += order[0] == label
            right5 += label in order[:5]
            losses.append(float(-row.log_softmax(dim=0)[label]))
            seen += 1
    assert scores.images == seen
    assert scores.top1 == pytest.approx(right / seen)
    assert scores.top5 == pytest.approx(right5 / seen)
    assert scores.loss == pytest.approx(sum(losses) / seen, rel=1e-4)


def test_batches_for_statistics_are_those_of_training() -> None:
    """Where whole batches are asked for, the network sees the stream's own batches and nothing else."""
    seen: list[torch.Tensor] = []

    class Listener(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return torch.zeros(len(images), 10)

    stream = ImageStream(some_images(), batch_size=8, seed=2)
    score(Listener(), stream, images=16)
    assert all(torch.equal(images, stream.batch(index)[0]) for index, images in enumerate(seen))
    assert len(seen) == 2


def test_outputs_that_are_not_finite_are_wrong() -> None:
    class Broken(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 10), torch.nan)

    scores = score(Broken(), ImageStream(some_images(), batch_size=8))
    assert scores.top1 == scores.top5 == 0


def test_fewer_than_five_classes() -> None:
    network = a_network(3)
    use_batch_statistics(network)
    assert score(network.eval(), ImageStream(some_images(classes=3), batch_size=8)).top5 == 1.0


def test_scores_are_found_in_what_classifiers_return() -> None:
    scores = torch.ones(2, 3)
    for output in (scores, (scores, None), [scores, scores * 2], {"loss": None, "logits": scores}, {"out": scores}):
        assert scores_of(output) is scores


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (torch.ones(2, 3, 4), r"of shape \(2, 3, 4\)"),
        ((), "a NoneType"),
        ({}, "a NoneType"),
        ("text", "a str"),
        ((None, torch.ones(2, 3)), "a NoneType"),
    ],
)
def test_no_scores_are_one_line(output: object, what: str) -> None:
    with pytest.raises(ValueError, match=rf"^the model's output is {what}, and no scores \(images, classes\)"):
        scores_of(output)
