"""Starts without data, each against its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.initializers import create
from ghn.initializers.simple import Hypernetwork
from tests.initializers.networks import small, state


def test_orthogonal_rows_or_columns() -> None:
    model = small()
    report = create("orthogonal")(model, seed=3)
    assert set(report.changed) == {"0.weight", "4.weight", "9.weight"}
    for name in report.changed:
        matrix = model.get_parameter(name).detach().flatten(1)
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
    assert report.kept["0.bias"] == "a bias"
    again = small()
    create("orthogonal")(again, seed=3)
    assert torch.equal(again.get_parameter("4.weight"), model.get_parameter("4.weight"))
    create("orthogonal")(again, seed=4)
    assert not torch.equal(again.get_parameter("4.weight"), model.get_parameter("4.weight"))


def test_delta_orthogonal_keeps_norms_in_the_middle() -> None:
    model = small()
    report = create("delta-orthogonal")(model)
    assert "4.weight" in report.changed
    weight = model.get_parameter("4.weight").detach()
    middle = weight[:, :, 1, 1]
    torch.testing.assert_close(middle.T @ middle, torch.eye(6), atol=1e-5, rtol=0)
    assert float(weight.abs().sum() - middle.abs().sum()) == pytest.approx(0, abs=1e-4)
    assert "at least as many outputs as inputs, here 3 and 8" in report.kept["9.weight"]


def test_orthogonalise_is_the_nearest_at_the_same_norm() -> None:
    model = small()
    before = state(model)
    create("orthogonalise")(model)
    for name in ("0.weight", "4.weight", "9.weight"):
        old, new = before[name].flatten(1), model.get_parameter(name).detach().flatten(1)
        assert float(new.norm()) == pytest.approx(float(old.norm()), rel=1e-5)
        gram = new @ new.T
        torch.testing.assert_close(gram / gram[0, 0], torch.eye(len(gram)), atol=1e-4, rtol=0)
        # The polar factor U Vᵀ makes old newᵀ symmetric.
        torch.testing.assert_close(old @ new.T, (old @ new.T).T, atol=1e-5, rtol=0)


def grouped() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 12, 3, groups=4),
        nn.ConvTranspose2d(12, 4, 3, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def groups_of(model: nn.Module, name: str) -> list[Tensor]:
    """(O, I, h, w) of each group, by the layers' own attributes."""
    layer = model.get_submodule(name.removesuffix(".weight"))
    weight = model.get_parameter(name).detach()
    parts = weight.chunk(layer.groups)  # type: ignore[arg-type]
    return [part.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else part for part in parts]


def test_each_group_of_a_convolution_is_orthogonal() -> None:
    model, images = grouped(), [(torch.randn(2, 3, 12, 12), torch.zeros(2, dtype=torch.int64))]
    create("orthogonal")(model, images)
    for name in ("1.weight", "2.weight", "3.weight"):
        for part in groups_of(model, name):
            matrix = part.flatten(1)
            assert len(matrix) <= matrix.shape[1]
            torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), atol=1e-5, rtol=0)


def test_each_group_of_a_convolution_is_delta_orthogonal() -> None:
    model, images = grouped(), [(torch.randn(2, 3, 12, 12), torch.zeros(2, dtype=torch.int64))]
    report = create("delta-orthogonal")(model, images)
    assert {"0.weight", "1.weight", "2.weight"} <= set(report.changed)
    assert "here 2 and 6" in report.kept["3.weight"]
    for name in ("1.weight", "2.weight"):
        for part in groups_of(model, name):
            middle = part[:, :, 1, 1]
            torch.testing.assert_close(middle.T @ middle, torch.eye(middle.shape[1]), atol=1e-5, rtol=0)
    # So that norms of features stay.
    x = torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        computed = nn.functional.conv2d(x, model.get_parameter("1.weight"), groups=8)
    assert float(computed.norm()) == pytest.approx(float(x[:, :, 1:-1, 1:-1].norm()), rel=1e-5)


def test_images_say_what_size_a_model_takes() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 10 * 10, 3))
    report = create("orthogonal")(model, [(torch.randn(2, 3, 12, 12), torch.zeros(2, dtype=torch.int64))])
    assert report.changed == ("0.weight", "2.weight")


def test_what_is_left_is_left_whole() -> None:
    model = grouped()
    with torch.no_grad():
        model.get_parameter("2.weight")[5] = torch.nan
    before = state(model)
    report = create("orthogonalise")(model, [(torch.randn(2, 3, 12, 12), torch.zeros(2, dtype=torch.int64))])
    assert report.kept["2.weight"] == "it is not finite"
    torch.testing.assert_close(state(model)["2.weight"], before["2.weight"], equal_nan=True, atol=0, rtol=0)


def test_a_hypernetwork_in_a_chain_predicts_what_it_predicts() -> None:
    model, other = small(10), small(10)
    report = create("ghn")(model)
    hypernet = ghn.from_pretrained("ghn3-t-cifar10")
    expected = hypernet.initialize(other)
    assert report.changed[: len(expected.predicted)] == expected.predicted
    assert all(torch.equal(value, other.get_parameter(name)) for name, value in model.named_parameters())
    # Statistics are those of the images that it brings along; `initialize` leaves buffers alone unless it is asked.
    assert report.changed[len(expected.predicted) :] == (
        "1.running_mean",
        "1.running_var",
        "5.running_mean",
        "5.running_var",
    )
    assert "2 batch norms have statistics from 64 images of cifar10" in str(report)
    assert not torch.equal(state(model)["1.running_var"], state(other)["1.running_var"])
    assert torch.equal(state(other)["1.running_var"], torch.ones(6))
    asked = hypernet.initialize(other, statistics=True)
    assert asked.statistics is not None
    assert asked.statistics.changed == report.changed[len(expected.predicted) :]
    assert "statistics  2 batch norms" in str(asked)
    assert all(torch.equal(value, state(other)[name]) for name, value in state(model).items())


def test_a_hypernetwork_may_be_given_and_may_have_no_images() -> None:
    hypernet = ghn.from_pretrained("ghn3-t-cifar10")
    hypernet.images = None
    model = small(10)
    report = Hypernetwork(hypernet)(model)
    assert "batch-norm statistics stay: the hypernetwork brings no images along" in report.notes
    assert torch.equal(state(model)["1.running_var"], torch.ones(6))
    assert report.name == "ghn"
