"""Statistics and heads that are fitted to images, against their definitions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import ghn
from ghn.initializers.calibration import calibrate, set_statistics, solve_head
from tests.initializers.networks import images, small, state


def test_statistics_are_the_averages_over_batches() -> None:
    model, given = small(), images()
    before = state(model)
    names = set_statistics(model.eval(), given)
    assert names == ["1.running_mean", "1.running_var", "5.running_mean", "5.running_var"]
    # The first batch norm by hand: it sees the convolution of the images.
    with torch.no_grad():
        outputs = [model[0](batch) for batch, _ in given]  # type: ignore[index]
    mean = torch.stack([output.mean((0, 2, 3)) for output in outputs]).mean(0)
    var = torch.stack([output.var((0, 2, 3), correction=1) for output in outputs]).mean(0)
    after = state(model)
    torch.testing.assert_close(after["1.running_mean"], mean)
    torch.testing.assert_close(after["1.running_var"], var)
    assert int(after["1.num_batches_tracked"]) == 4
    unchanged = [name for name in before if "running" not in name and "tracked" not in name]
    assert all(torch.equal(before[name], after[name]) for name in unchanged)


def test_evaluation_is_then_as_training_but_for_dropout() -> None:
    model, given = small(), images(size=64)
    set_statistics(model, given)
    model[3].p = 0.0  # type: ignore[index]
    with torch.no_grad():
        evaluated, trained = model.eval()(given[0][0]), model.train()(given[0][0])
    assert float((evaluated - trained).abs().max()) < 0.2 * float(trained.std())


def test_modes_momenta_gradients_and_random_state_stay() -> None:
    model = small()
    model.train()
    model[1].eval()  # type: ignore[index]
    model[5].momentum = 0.3  # type: ignore[index]
    random = torch.get_rng_state()
    report = calibrate(model, images())
    assert torch.equal(torch.get_rng_state(), random)
    assert (model.training, model[1].training, model[3].training) == (True, False, True)  # type: ignore[index]
    assert model[5].momentum == 0.3  # type: ignore[index]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert {"1.running_mean", "9.weight", "9.bias"} <= set(report.changed)
    assert "2 batch norms have new statistics" in str(report)


def test_an_error_in_the_forward_pass_leaves_the_model() -> None:
    model = small()
    before = state(model)
    with pytest.raises(RuntimeError):
        set_statistics(model, [*images(), (torch.zeros(4, 5, 12, 12), torch.zeros(4, dtype=torch.int64))])
    assert all(torch.equal(before[name], value) for name, value in state(model).items())
    assert model[1].momentum == 0.1  # type: ignore[index]


@pytest.mark.parametrize("bias", [True, False])
def test_the_head_learns_what_its_features_tell(bias: bool) -> None:
    model, given = small(bias=bias), images(batches=8)
    report = calibrate(model, given)
    with torch.no_grad():
        scores = torch.cat([model.eval()(batch) for batch, _ in given])
    labels = torch.cat([labels for _, labels in given])
    assert float((scores.argmax(1) == labels).float().mean()) > 0.9
    assert ("9.bias" in report.changed) is bias


def test_a_better_head_stays() -> None:
    model, given = small(), images(batches=8)
    calibrate(model, given)
    before = state(model)
    names, note = solve_head(model, given)
    assert names == []
    assert note.startswith("the head stays: 1.000 of held-out images right")
    assert torch.equal(before["9.weight"], state(model)["9.weight"])


def test_scores_may_be_one_of_several_outputs() -> None:
    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = small()

        def forward(self, x: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(loss=None, logits=self.network(x))

    report = calibrate(Outputs(), images(batches=8))
    assert {"network.9.weight", "network.1.running_mean"} <= set(report.changed)


def test_a_convolution_may_be_the_head() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    given = images(batches=8)
    report = ghn.calibrate(model, given)
    assert report.changed == ("2.weight", "2.bias")
    with torch.no_grad():
        right = [model(batch).argmax(1) == labels for batch, labels in given]
    assert float(torch.cat(right).float().mean()) > 0.9


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="calibrate needs at least 16 labelled images, not 8; give it more batches"):
        calibrate(small(), images(batches=1, size=8))
    with pytest.raises(ValueError, match="the model has 2 outputs, and the images have labels up to 2"):
        calibrate(small(classes=2), images())
    report = calibrate(nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(2), nn.Linear(100, 3)), images())
    assert any(note.startswith("the head stays") or "no head" in note for note in report.notes)


def test_copies_are_parted_and_what_explodes_is_tamed_but_not_where_not_asked() -> None:
    def odd() -> nn.Module:
        model = small()
        with torch.no_grad():
            weight = model[4].weight  # type: ignore[index]
            weight[4:] = weight[:4]  # type: ignore[index]
            model[0].weight.mul_(1e5)  # type: ignore[index, union-attr, operator]
        return model

    model = odd()
    before = state(model)
    report = calibrate(model, images())
    assert {"0.weight", "4.weight"} <= set(report.changed)
    text = str(report)
    assert "noise of 0.3 deviations on 1 weights with copies" in text
    assert "0.weight: the variance was " in text
    weight = model[4].weight  # type: ignore[index]
    assert not torch.equal(weight[4:], weight[:4])  # type: ignore[index]
    model = odd()
    calibrate(model, images(), noise=0, variance=False)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in ("0.weight", "4.weight"))
    model = odd()
    ghn.initializers.create("statistics")(model, images())
    assert torch.equal(model.state_dict()["4.weight"], before["4.weight"])
    with pytest.raises(ValueError, match="noise is a factor of 0 or more, not -1"):
        calibrate(model, images(), noise=-1)


@pytest.mark.parametrize("where", ["images", "weight", "infinite", "activations"])
@pytest.mark.parametrize("step", ["calibrate", "statistics"])
def test_what_is_not_finite_is_an_error_and_no_statistic(where: str, step: str) -> None:
    model, given = small(), images(batches=8)
    if where == "images":
        given[1][0][0, 0, 0, 0] = float("nan")
    elif where == "weight":
        model[0].weight.data[0, 0, 0, 0] = float("nan")  # type: ignore[index, union-attr]
    elif where == "infinite":
        model[0].weight.data[0, 0, 0, 0] = float("inf")  # type: ignore[index, union-attr]
    else:
        model[0].weight.data.fill_(3e38)  # type: ignore[index, union-attr]
    before = state(model)
    said = {
        "images": "the images for .* hold NaN",
        "weight": "0.weight of the model holds NaN",
        "infinite": "is not finite",
        "activations": "is not finite",
    }[where]
    with pytest.raises(ValueError, match=said):
        calibrate(model, given, noise=0.0, variance=False, head=step == "calibrate")
    torch.testing.assert_close(state(model), before, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.bool])
def test_labels_of_any_whole_numbers(kind: torch.dtype) -> None:
    given = [(pixels, labels % 2) for pixels, labels in images(batches=8)]
    expected, model = small(), small()
    calibrate(expected, given)
    calibrate(model, [(pixels, labels.to(kind)) for pixels, labels in given])
    assert all(torch.equal(value, state(expected)[name]) for name, value in state(model).items())


def test_shares_of_classes_will_do_without_a_head() -> None:
    shares = [(pixels, torch.ones(len(labels), 4) / 4) for pixels, labels in images(batches=8)]
    with pytest.raises(ValueError, match="a head is solved for labels that are whole numbers"):
        calibrate(small(), shares)
    assert "2 batch norms have new statistics" in str(calibrate(small(), shares, head=False))


def test_what_is_no_weight_may_hold_anything_and_what_has_no_numbers_is_told() -> None:
    model = small()
    model.register_parameter("mask", nn.Parameter(torch.full((3,), -torch.inf), requires_grad=False))
    model.register_parameter("small", nn.Parameter(torch.zeros(4).to(torch.float8_e4m3fn), requires_grad=False))
    calibrate(model, images(batches=8))
    for other in (small().to("meta"), nn.Sequential(nn.Flatten(), nn.LazyLinear(4))):
        with pytest.raises(ValueError, match="of the model has no numbers; build it on a device, and run it once"):
            calibrate(other, images(batches=8))
    with pytest.raises(ValueError, match="the images for calibrate are on the meta device"):
        calibrate(small(), [(pixels.to("meta"), labels) for pixels, labels in images(batches=8)])
