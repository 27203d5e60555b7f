"""Starts without data, each against its definition."""

from __future__ import annotations

import pytest
import torch

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
