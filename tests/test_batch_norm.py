"""Statistics that a hypernetwork's images set, and models that do not take these."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn import batch_norm
from ghn.batch_norm import as_trained, norms_with_statistics, set_statistics, statistics_from
from ghn.data.augment import normalise
from ghn.data.image_set import ImageSet
from tests.initializers.networks import small, state


def some_images(count: int = 12, size: int = 16) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    return ImageSet(
        name="toy",
        images=torch.randint(0, 200, (count, 3, size, size), generator=generator, dtype=torch.uint8),
        labels=torch.arange(count) % 3,
        classes=("a", "b", "c"),
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.3, 0.4),
    )


class Sees(nn.Module):
    """A batch norm of the images, that remembers their shapes and takes only some."""

    def __init__(self, *sizes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        self.sizes, self.seen = sizes, list[tuple[int, ...]]()

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[-1] in self.sizes, f"not {images.shape[-1]} pixels"
        if not images.is_meta:
            self.seen.append(tuple(images.shape))
        return self.norm(images).mean((2, 3))


def by_hand(images: ImageSet, *, size: int | None = None, batches: int = 1) -> tuple[Tensor, Tensor]:
    """Average mean and variance of the normalised images, by channel."""
    pixels = images.images.double() / 255
    shape = (1, 3, 1, 1)
    pixels = (pixels - torch.tensor(images.mean).view(shape)) / torch.tensor(images.std).view(shape)
    if size is not None:
        pixels = functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)
    # Classes come one after the other: each batch has some of all.
    parts = [pixels[batch::batches] for batch in range(batches)]
    mean = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    return mean.float(), torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0).float()


def test_statistics_are_those_of_the_images_at_their_own_size() -> None:
    images, model = some_images(), Sees(16).train()
    report = statistics_from(model, images)
    mean, var = by_hand(images)
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.norm.running_var, var, rtol=1e-4, atol=1e-5)
    assert model.seen == [(2, 3, 16, 16), (12, 3, 16, 16)]
    assert report.changed == ("norm.running_mean", "norm.running_var")
    assert (report.images, report.data, report.size, report.norms, report.reason) == (12, "toy", (16, 16), 1, None)
    assert str(report) == "1 batch norms have statistics from 12 images of toy, 16×16 pixels"
    assert model.training
    assert model.norm.training
    assert model.norm.momentum == 0.1


@pytest.mark.parametrize("wrapped", [lambda images: images, lambda images: (images,), lambda images: ((images,), {})])
def test_example_inputs_say_the_size(wrapped: Any) -> None:
    images, model = some_images(), Sees(16, 24)
    report = statistics_from(model, images, wrapped(torch.zeros(2, 3, 24, 24, device="meta")))
    assert report.size == (24, 24)
    mean, var = by_hand(images, size=24)
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.norm.running_var, var, rtol=1e-4, atol=1e-5)


def test_large_features_come_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    images, model = some_images(), Sees(16)
    # Three channels of 256 pixels: ten images of them.
    monkeypatch.setattr(batch_norm, "MOST_IN_BATCH", 10 * 3 * 256 + 5)
    report = statistics_from(model, images)
    # The first call sees how many elements there are.
    assert [shape[0] for shape in model.seen] == [2, 6, 6]
    assert report.images == 12
    mean, var = by_hand(images, batches=2)
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.norm.running_var, var, rtol=1e-4, atol=1e-5)


def test_of_what_takes_much_more_fewer_images_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    images, model = some_images(12), Sees(299)
    monkeypatch.setattr(batch_norm, "MOST_IN_ALL", 9 * 3 * 299 * 299)
    report = statistics_from(model, images)
    assert (report.images, report.size) == (9, (299, 299))
    mean, var = by_hand(images.subset([0, 1, 3, 4, 6, 7, 8, 10, 11]), size=299)
    torch.testing.assert_close(model.norm.running_mean, mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(model.norm.running_var, var, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(batch_norm, "MOST_IN_ALL", 7 * 3 * 299 * 299)
    reason = statistics_from(model, images, torch.zeros(2, 3, 299, 299)).reason
    assert reason == "the model is not run on images of toy (it makes 268,203 numbers of each, which takes too long)"


class Overflowing(Sees):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images * torch.inf)


@pytest.mark.parametrize(
    ("model", "images", "inputs", "reason"),
    [
        (nn.Linear(3, 3), some_images(), None, "the model has no batch norm that keeps any"),
        (nn.BatchNorm2d(3, track_running_stats=False), some_images(), None, "the model has no batch norm that keeps"),
        (Sees(16), None, None, "the hypernetwork brings no images along"),
        (Sees(17), some_images(), None, r"the model does not run on images of toy \(not 16 pixels.*\)"),
        (Sees(16, channels=1), some_images(), torch.zeros(2, 1, 16, 16), "the model is not called with RGB images"),
        (Sees(16), some_images(), {"ids": torch.zeros(2, 3)}, "the model is not called with RGB images"),
        (
            Overflowing(16),
            some_images(),
            None,
            r"does not run on images of toy \(what the model computes of the images is not fin",
        ),
    ],
)
def test_what_cannot_be_leaves_the_model_and_says_why(
    model: nn.Module, images: ImageSet | None, inputs: Any, reason: str
) -> None:
    before = state(model)
    report = statistics_from(model, images, inputs)
    assert report.changed == ()
    with pytest.raises(ValueError, match=reason):
        raise ValueError(report.reason)
    assert str(report) == f"batch-norm statistics stay: {report.reason}"
    assert all(torch.equal(before[name], value) for name, value in state(model).items())


def test_half_precision_and_random_state() -> None:
    model = small().half()
    random = torch.get_rng_state()
    assert statistics_from(model, some_images()).norms == 2
    assert torch.equal(torch.get_rng_state(), random)
    assert float(model.get_buffer("1.running_var").sub(1).abs().sum()) > 0


def test_evaluation_of_the_images_is_then_as_training() -> None:
    model, images = small(), some_images()
    model[3].p = 0.0  # type: ignore[index]
    statistics_from(model, images, torch.zeros(1, 3, 16, 16))
    pixels = normalise(images.images, images)
    with torch.no_grad():
        evaluated, trained = model.eval()(pixels), model.train()(pixels)
    # But for variances with n - 1.
    torch.testing.assert_close(evaluated, trained, rtol=1e-2, atol=1e-3)


def test_a_norm_that_evaluation_does_not_use_keeps_its_own() -> None:
    class WithAuxiliary(Sees):
        def __init__(self) -> None:
            super().__init__(16)
            self.auxiliary = nn.BatchNorm2d(3)

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(self.auxiliary(images) if self.training else images)

    model = WithAuxiliary()
    model.auxiliary.running_mean.fill_(7.0)  # type: ignore[union-attr]
    report = statistics_from(model, some_images())
    assert (report.norms, report.changed) == (1, ("norm.running_mean", "norm.running_var"))
    assert model.auxiliary.running_mean.tolist() == [7.0] * 3  # type: ignore[union-attr]
    assert (int(model.norm.num_batches_tracked), int(model.auxiliary.num_batches_tracked)) == (1, 0)  # type: ignore[arg-type]


def test_norms_by_name() -> None:
    assert list(norms_with_statistics(small())) == ["1", "5"]
    assert set_statistics(nn.Linear(1, 1), []) == []


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_as_it_is_trained_but_with_nothing_dropped(batch_statistics: bool) -> None:
    model = small().eval()
    before, images = state(model), torch.randn(6, 3, 8, 8)
    with torch.no_grad(), as_trained(model, batch_statistics=batch_statistics):
        assert torch.is_grad_enabled()
        given = model(images)
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(given, model(images)) is not batch_statistics
    for module in model:  # type: ignore[attr-defined]
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    if batch_statistics:
        assert torch.equal(given, model(images))
