"""Many models at once against each alone, in batches of bounded size."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.graph.trace import TraceError
from ghn.hypernet.mlp import linear_layer
from ghn.initialization import many
from ghn.model import GHN
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.graphs import CLASSES
from tests.initialization.test_one import Net, graph_of_net, snapshot, unchanged

IMAGES = torch.zeros(2, 3, 16, 16)


class Patches(nn.Module):
    """A model whose table of positions has a row that is drawn."""

    def __init__(self, side: int, channels: int = 12) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, channels, 4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, channels))
        self.positions = nn.Parameter(torch.zeros(1, side * side + 1, channels))
        self.layer = nn.TransformerEncoderLayer(channels, 2, 24, batch_first=True)
        self.head = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], dim=1)
        return self.head(self.layer(tokens + self.positions)[:, 0])


def convolutions(width: int, classes: int = CLASSES) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, groups=width, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def some_models() -> list[nn.Module]:
    """Of awkward sizes: beyond what is decoded, another head, without a head, tied, twice the same."""
    torch.manual_seed(0)
    twice = convolutions(5)
    return [
        convolutions(20),
        Patches(4),
        Net(classes=7),
        nn.Conv2d(3, 1, 1),
        twice,
        Net(),
        Patches(4, 20),
        twice,
    ]


@pytest.fixture(params=["graphormer", "gated_gnn", "mlp"])
def hypernet(request: pytest.FixtureRequest) -> GHN:
    return small_hypernet(encoder=request.param)


def close(found: dict[str, Tensor], alone: dict[str, Tensor]) -> None:
    assert list(found) == list(alone)
    for name, tensor in alone.items():
        assert found[name].dtype == tensor.dtype
        if tensor.is_floating_point():
            difference = (found[name] - tensor).abs().max() if tensor.numel() else torch.zeros(())
            assert difference <= 1e-5 * tensor.abs().max(), name
        else:
            assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("options", [{}, {"head": "predict"}, {"seed": 3}, {"complete": True}])
@pytest.mark.parametrize("max_nodes", [1, 30, 10**6])
def test_each_is_predicted_as_if_alone(hypernet: GHN, options: dict[str, Any], max_nodes: int) -> None:
    models = some_models()
    before = [snapshot(model) for model in models]
    found = hypernet.predict_many(models, IMAGES, max_nodes=max_nodes, **options)
    assert len(found) == len(models)
    for model, weights in zip(models, found, strict=True):
        close(weights, hypernet.predict(model, IMAGES, **options))
    assert all(unchanged(model, kept) for model, kept in zip(models, before, strict=True))
    if "seed" in options:
        other = hypernet.predict_many(models, IMAGES)[1]["positions"]
        assert not torch.equal(found[1]["positions"][:, 0], other[:, 0])


@pytest.mark.parametrize("max_nodes", [1, 10**6])
def test_in_place_it_is_the_same(hypernet: GHN, max_nodes: int) -> None:
    models = some_models()
    alone = copy.deepcopy(models)
    reports = hypernet.initialize_many(models, IMAGES, max_nodes=max_nodes)
    for model, other, report in zip(models, alone, reports, strict=True):
        expected = hypernet.initialize(other, IMAGES)
        assert report.predicted == expected.predicted
        assert report.kept == expected.kept
        assert report.fraction == expected.fraction
        assert report.traced_by == expected.traced_by
        assert report.total_norm == pytest.approx(expected.total_norm, rel=1e-5)
        assert list(report.seconds) == list(expected.seconds)
        close(dict(model.named_parameters()), dict(other.named_parameters()))


def test_of_models_that_share_a_parameter_the_last_one_counts() -> None:
    hypernet = small_hypernet()
    shared = nn.Linear(6, 6)
    models = [nn.Sequential(shared, nn.ReLU(), nn.Linear(6, 13)), nn.Sequential(nn.Linear(3, 6), nn.ReLU(), shared)]
    for order in (models, models[::-1]):
        inputs = {id(models[0]): torch.zeros(2, 6), id(models[1]): torch.zeros(2, 3)}
        graphs = [ghn.trace(model, inputs[id(model)]) for model in order]
        for model, graph in zip(order, graphs, strict=True):
            hypernet.initialize(model, graph=graph)
        expected = shared.weight.clone()
        nn.init.zeros_(shared.weight)
        hypernet.initialize_many(order, graphs=graphs)
        torch.testing.assert_close(shared.weight, expected)


def test_batches_have_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    hypernet = small_hypernet()
    models = some_models()
    graphs = [ghn.trace(model, IMAGES) for model in models]
    nodes: list[list[int]] = []
    decode = hypernet.decode_into

    def noted(graphs: Any, *rest: Any, **options: Any) -> Any:
        nodes.append([len(graph) for graph in graphs])
        return decode(graphs, *rest, **options)

    monkeypatch.setattr(hypernet, "decode_into", noted)
    sizes = [len(graph) for graph in graphs]
    limit = sizes[0] + sizes[1]
    hypernet.predict_many(models, graphs=graphs, max_nodes=limit)
    assert [size for batch in nodes for size in batch] == sizes
    assert nodes[0] == sizes[:2]
    assert all(sum(batch) <= limit or len(batch) == 1 for batch in nodes)
    assert all(sum(batch) + after[0] > limit for batch, after in pairwise(nodes))
    nodes.clear()
    # The last but four comes once more at the end.
    hypernet.predict_many(models, graphs=graphs)
    assert nodes == [sizes[:-1], sizes[-1:]]
    elements = sum(parameter.numel() for parameter in hypernet.predict(models[0], graph=graphs[0]).values())
    nodes.clear()
    with monkeypatch.context() as patch:
        patch.setattr(many, "MAX_ELEMENTS", elements - 1)
        hypernet.predict_many([models[3], models[0], models[3]], graphs=[graphs[3], graphs[0], graphs[3]])
    assert nodes == [[sizes[3]], [sizes[0]], [sizes[3]]]


def test_models_are_taken_when_they_are_needed_and_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hypernet = small_hypernet()
    made: list[int] = []
    traced: list[nn.Module] = []

    def trace(model: nn.Module, example_inputs: Any = None) -> Any:
        traced.append(model)
        return graph_of_net(model)

    monkeypatch.setattr("ghn.graph.trace.trace", trace)

    def endless() -> Iterator[nn.Module]:
        while True:
            made.append(len(made))
            yield Net()

    nodes = len(graph_of_net(Net()))
    predictions = hypernet.predict_each(endless(), max_nodes=2 * nodes)
    assert made == []
    alone = hypernet.predict(Net())
    traced.clear()
    for number in range(5):
        close(next(predictions), alone)
        # The first of the next batch is needed to know where a batch ends.
        assert len(made) == len(traced) == 2 * (number // 2) + 3


def test_none_at_all() -> None:
    hypernet = small_hypernet()
    assert hypernet.predict_many([]) == []
    assert hypernet.initialize_many([], graphs=[]) == []


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("broken on purpose")


@pytest.mark.parametrize(
    ("bad", "options", "kind", "match"),
    [
        (Broken(), {}, TraceError, r"^model 1 \(Broken\): the forward pass of Broken fails .*broken on purpose"),
        (nn.ReLU(), {}, ValueError, r"^model 1 \(ReLU\): ReLU has no parameters"),
        (Net(classes=7), {"strict": 0.9}, ValueError, r"^model 1 \(Net\): only .* less than the 90 % asked for"),
    ],
)
def test_errors_name_the_model_and_change_nothing(
    bad: nn.Module, options: dict[str, Any], kind: type[Exception], match: str
) -> None:
    hypernet = small_hypernet()
    models = [convolutions(5), bad, convolutions(6)]
    before = [snapshot(model) for model in models]
    for use in (hypernet.predict_many, hypernet.initialize_many):
        with pytest.raises(kind, match=match) as caught:
            use(models, IMAGES, **options)
        assert "\n" not in str(caught.value)
    assert all(unchanged(model, kept) for model, kept in zip(models, before, strict=True))


def test_a_prediction_that_is_not_finite_names_the_model() -> None:
    hypernet = small_hypernet()
    models = [nn.Sequential(nn.Linear(3, CLASSES)), Net(), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), Net()]
    graphs = [
        ghn.trace(model, torch.zeros(2, 3)) if not isinstance(model, Net) else graph_of_net(model) for model in models
    ]
    with torch.no_grad():
        linear_layer(hypernet.decoder_1d.fc, 2).weight[: hypernet.config.max_channels] = math.nan
    before = [snapshot(model) for model in models]
    for max_nodes in (10**6, 1):
        models = [copy.deepcopy(model) for model in models]
        with pytest.raises(ValueError, match=r"^model 1 \(Net\): the prediction for norm.weight is not finite"):
            hypernet.initialize_many(models, graphs=graphs, max_nodes=max_nodes)
        assert unchanged(models[0], before[0]) is (max_nodes > 1)
        assert all(unchanged(model, kept) for model, kept in zip(models[1:], before[1:], strict=True))


@pytest.mark.parametrize(
    ("models", "options", "match"),
    [
        (lambda: [Net()], {"max_nodes": 0}, "max_nodes must be at least 1, not 0"),
        (lambda: [Net(), Net()], {"graphs": [graph_of_net(Net())]}, "there are 1 graphs for more models"),
        (lambda: [Net()], {"graphs": [graph_of_net(Net())] * 2}, "there are more graphs than the 1 models"),
        (lambda: convolutions(5), {}, r"models must be a list of models, not one Sequential; pass \[model\]"),
        (lambda: [Net()], {"strict": 2.0}, "strict is a fraction"),
        (lambda: [Net()], {"head": "other", "graphs": [graph_of_net(Net())]}, "head must be 'keep' or 'predict'"),
    ],
)
def test_options_that_cannot_be(models: Any, options: dict[str, Any], match: str) -> None:
    hypernet = small_hypernet()
    for use in (hypernet.predict_many, hypernet.initialize_many):
        with pytest.raises(ValueError, match=match):
            use(models(), **options)


def test_want_of_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    hypernet = small_hypernet()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(hypernet, "decode_into", fail)
    with pytest.raises(ValueError, match=r"not enough memory to predict 2 models at once \(Net\); lower max_nodes"):
        hypernet.predict_many([Net(), Net()], graphs=[graph_of_net(Net())] * 2)


def test_in_one_line_and_with_statistics() -> None:
    hypernet = ghn.from_pretrained("ghn3-t-cifar10")
    models, images = [convolutions(8, 10), convolutions(12, 10)], torch.zeros(2, 3, 32, 32)
    for found, model in zip(ghn.predict_many(models, hypernet, images), models, strict=True):
        close(found, hypernet.predict(model, images))
    others = copy.deepcopy(models)
    reports = ghn.initialize_many(iter(models), hypernet, images, statistics=True)
    for model, other, report in zip(models, others, reports, strict=True):
        alone = hypernet.initialize(other, images, statistics=True)
        assert str(report.statistics) == str(alone.statistics)
        torch.testing.assert_close(model.state_dict(), other.state_dict(), rtol=1e-4, atol=1e-5)
    assert hypernet.initialize_many(models, images)[0].statistics is None
