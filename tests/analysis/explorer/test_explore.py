"""From a model to its page."""

import pytest
import torch
from torch import nn

import ghn
from ghn.analysis import explore
from tests.users_models import ZOO


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def test_the_model_alone() -> None:
    document = explore(net(), inits=()).document
    assert document["title"] == document["kind"] == "Sequential"
    assert [start["name"] for start in document["starts"]] == ["own initialisation"]
    assert len(document["nodes"]) == 7, "with the input"


def test_starts_beside_the_models_own() -> None:
    model = net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    document = explore(model, inits=("orthogonal", "default"), title="mine", depth=0).document
    assert [start["name"] for start in document["starts"]] == ["own initialisation", "orthogonal", "default"]
    own, orthogonal, default = (start["values"] for start in document["starts"])
    assert own == default != orthogonal
    # Eight orthonormal rows have the norm √8.
    assert orthogonal[0][0] == pytest.approx(8**0.5, abs=1e-3)
    assert (document["title"], document["depth"]) == ("mine", 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_images_for_starts_that_need_some() -> None:
    batch = (torch.randn(32, 3, 8, 8), torch.arange(32) % 3)
    document = explore(net(), inits=("default+calibrate",), batches=[batch]).document
    assert document["starts"][1]["notes"]
    with pytest.raises(ValueError, match="images"):
        explore(net(), inits=("default+calibrate",))


def test_models_without_numbers() -> None:
    with torch.device("meta"):
        model = net()
    document = explore(model, inits=()).document
    assert document["starts"][0]["values"] == [None] * 6


def test_lazy_models_get_their_shapes() -> None:
    model = nn.Sequential(nn.LazyConv2d(8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3))
    assert explore(model, inits=("default",)).document["parameters"][0]["shape"] == [8, 3, 3, 3]


def test_a_graph_at_hand_is_not_traced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    graph = ghn.trace(model)
    monkeypatch.setattr("ghn.analysis.explorer.explore.trace", lambda *_: pytest.fail("traced"))
    assert len(explore(model, graph=graph, inits=()).document["nodes"]) == len(graph)


@pytest.mark.parametrize(
    ("options", "part"), [({"depth": -1}, "depth must be"), ({"inits": ("nonsense",)}, "unknown init")]
)
def test_bad_input_is_one_line(options: dict[str, object], part: str) -> None:
    with pytest.raises(ValueError, match=part) as caught:
        explore(net(), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_users_models() -> None:
    made: dict[str, object] = {}
    exec(ZOO, made)
    tied = made["Tied"]()  # type: ignore[operator]
    document = explore(tied, torch.zeros(2, 10), inits=("orthogonal",)).document
    assert [entry["name"] for entry in document["parameters"]] == ["first.weight", "first.bias", "second.bias"]
