"""The hypernetwork as users know it."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.hypernet import PRESETS, GHNConfig
from ghn.model import GHN


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_goes_through_files(name: str, tmp_path: Path) -> None:
    config = GHNConfig.preset(name, num_classes=7, hidden=16, heads=2, max_channels=8, spatial=11)
    hypernet = GHN(config)
    hypernet.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == config.to_dict()
    loaded = GHN.from_pretrained(tmp_path)
    assert loaded.config == config
    assert {key: tensor.shape for key, tensor in loaded.state_dict().items()} == {
        key: tensor.shape for key, tensor in hypernet.state_dict().items()
    }
    assert all(torch.equal(loaded.state_dict()[key], tensor) for key, tensor in hypernet.state_dict().items())


IMAGES = torch.zeros(2, 3, 8, 8)


class Awkward(nn.Module):
    """Tied weights, a parameter that is not predicted, buffers of both kinds, extra state."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.token = nn.Parameter(torch.ones(3))
        self.register_buffer("steps", torch.arange(4))
        self.register_buffer("forgotten", torch.ones(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(self.norm(self.conv(x)).mean((2, 3))))

    def get_extra_state(self) -> dict[str, Any]:
        return {"text": ["a"]}

    def set_extra_state(self, state: Any) -> None:
        assert state == {"text": ["a"]}


@pytest.fixture
def hypernet(folder: Path) -> ghn.GHN:
    return ghn.from_pretrained(folder / "tiny")


def test_a_complete_prediction_loads_strictly(hypernet: ghn.GHN) -> None:
    model, other = Awkward(), Awkward()
    model.norm.running_mean = torch.full((8,), 3.0)
    before = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    weights = hypernet.predict(model, IMAGES, complete=True)
    assert list(weights) == list(model.state_dict())
    other.load_state_dict(weights, strict=True)
    hypernet.initialize(model, IMAGES)
    for (name, mine), theirs in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert mine == theirs if name == "_extra_state" else torch.equal(mine, theirs), name
    assert not torch.equal(weights["conv.weight"], before["conv.weight"])
    assert torch.equal(weights["token"], before["token"])
    # Copies: what is done to them does not reach the model.
    weights["token"].zero_()
    weights["norm.running_mean"].zero_()
    assert model.token.sum() == 3
    assert model.norm.running_mean is not None
    assert model.norm.running_mean.sum() == 24


class Shown(nn.Module):
    """A batch norm under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 4)
        self.again = self.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def test_a_complete_prediction_has_the_statistics_of_initialize(hypernet: ghn.GHN) -> None:
    hypernet.images = ghn.from_pretrained("ghn3-t-cifar10").images
    model, other, third = Shown(), Shown(), Shown()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    memory = {name: value.data_ptr() for name, value in model.state_dict().items()}
    weights = hypernet.predict(model, IMAGES, complete=True, statistics=True)
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == memory
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    other.load_state_dict(before)
    assert hypernet.initialize(other, IMAGES, statistics=True).statistics
    third.load_state_dict(weights, strict=True)
    for (name, mine), theirs in zip(third.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
    assert float(weights["again.running_var"].std()) > 0


def test_statistics_that_cannot_be_had_are_no_secret(hypernet: ghn.GHN) -> None:
    model = Shown()
    with pytest.warns(UserWarning, match="batch-norm statistics stay: the hypernetwork brings no images along"):
        weights = hypernet.predict(model, IMAGES, complete=True, statistics=True)
    assert torch.equal(weights["norm.running_var"], torch.ones(8))
    with pytest.raises(ValueError, match="statistics are buffers, which come with complete=True only"):
        hypernet.predict(model, IMAGES, statistics=True)


def test_what_has_no_numbers_cannot_be_completed(hypernet: ghn.GHN) -> None:
    with torch.device("meta"):
        model = Awkward()
    assert "conv.weight" in hypernet.predict(model, IMAGES)
    with pytest.raises(ValueError, match="token is not predicted, and the model has no numbers for it; leave out comp"):
        hypernet.predict(model, IMAGES, complete=True)


class Tokens(nn.Module):
    """Patches and a class token with a table of positions, whose first row no grid has."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Parameter(torch.zeros(1, 17, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.block(x)[:, 0])


def test_the_seed_decides_what_is_drawn(hypernet: ghn.GHN) -> None:
    model, image = Tokens(), torch.zeros(2, 3, 16, 16)

    def positions(predict: Any, seed: int) -> torch.Tensor:
        found: torch.Tensor = predict(seed)["positions"]
        return found

    for predict in (
        lambda seed: hypernet.predict(model, image, seed=seed),
        lambda seed: ghn.predict(model, hypernet, image, seed=seed),
        lambda seed: hypernet.initialize(model, image, seed=seed) and dict(model.named_parameters()),
    ):
        first, again, other = (positions(predict, seed).detach().clone() for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first[:, 0], other[:, 0])
        assert torch.equal(first[:, 1:], other[:, 1:])


def test_one_line_does_what_two_do(folder: Path, hypernet: ghn.GHN) -> None:
    model = Awkward()
    expected = hypernet.predict(model, IMAGES, seed=3)
    for source in (folder / "tiny", str(folder / "tiny"), hypernet):
        found = ghn.predict(model, source, IMAGES, seed=3)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    report = ghn.initialize(model, folder / "tiny", IMAGES, strict=0.1)
    assert set(report.predicted) == expected.keys()
    assert torch.equal(model.conv.weight, expected["conv.weight"])
    with pytest.raises(ValueError, match="less than the 100 % asked for"):
        ghn.initialize(model, folder / "tiny", IMAGES, strict=1.0)


def test_signatures_say_all_that_can_be_given() -> None:
    common = {"model", "example_inputs", "seed", "head", "strict"}
    for function in (ghn.initialize, ghn.predict, ghn.GHN.initialize, ghn.GHN.predict):
        parameters = inspect.signature(function).parameters
        assert common <= set(parameters)
        assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    ours = inspect.signature(ghn.GHN.from_pretrained)
    assert ours.parameters == inspect.signature(ghn.from_pretrained).parameters


def test_the_example_of_the_package_runs(hypernet: ghn.GHN, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ghn.__doc__ is not None
    code = ghn.__doc__.partition("\n")[2]
    monkeypatch.setattr("ghn.model.from_pretrained", lambda name: hypernet)
    seen: dict[str, Any] = {"model": nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, 10))}
    exec(compile(code, "ghn", "exec"), seen)
    assert seen["report"].predicted
