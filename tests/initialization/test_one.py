"""Predicting the parameters of models: what changes, what must not, and what the report says."""

import copy
import dataclasses
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.graph.computational_graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.reasons import Reason
from ghn.model import GHN
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.graphs import CLASSES


class Net(nn.Module):
    """A model with frozen, tied, integer, complex and unused parameters, buffers and a head."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3)
        self.norm = nn.BatchNorm2d(12)
        self.hidden = nn.Linear(12, 12)
        self.tied = nn.Linear(12, 12)
        self.tied.weight = self.hidden.weight
        self.head = nn.Linear(12, classes)
        self.unused = nn.Parameter(torch.ones(5))
        self.counts = nn.Parameter(torch.arange(4), requires_grad=False)
        self.phases = nn.Parameter(torch.zeros(3, dtype=torch.complex64))
        self.conv.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tied(self.hidden(self.norm(self.conv(x)).mean((2, 3)))))


def graph_of_net(model: nn.Module, example_inputs: Any = None) -> ComputationalGraph:
    """Stands in for the tracer, which is tested on its own."""
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if not is_lazy(parameter)}
    layers = [
        ("conv", {"conv.weight": Role.WEIGHT}),
        ("bias", {"conv.bias": Role.BIAS}),
        ("bn", {"norm.weight": Role.NORM_WEIGHT, "norm.bias": Role.NORM_BIAS}),
        ("conv", {"hidden.weight": Role.WEIGHT}),
        ("bias", {"hidden.bias": Role.BIAS}),
        ("bias", {"tied.bias": Role.BIAS}),
        ("conv", {"head.weight": Role.WEIGHT}),
        ("bias", {"head.bias": Role.BIAS}),
        ("bias", {"counts": Role.BIAS, "phases": Role.BIAS}),
    ]
    nodes, parameters = [Node("input")], {}
    for op, roles in layers:
        for name, role in roles.items():
            head = name.startswith("head")
            parameters[name] = ParameterSpec(name=name, node=len(nodes), shape=shapes[name], role=role, head=head)
        nodes.append(Node(op, tuple(roles), shapes[next(iter(roles))]))
    edges = np.array([(node, node + 1) for node in range(len(nodes) - 1)])
    return ComputationalGraph(tuple(nodes), edges, parameters, {"unused": Reason.read("not used")}, traced_by="stub")


PREDICTED = (
    "conv.weight conv.bias norm.weight norm.bias hidden.weight hidden.bias tied.bias head.weight head.bias".split()
)


@pytest.fixture
def hypernet(monkeypatch: pytest.MonkeyPatch) -> GHN:
    monkeypatch.setattr("ghn.graph.trace.trace", graph_of_net)
    return small_hypernet()


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def unchanged(model: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_parameters_change_and_nothing_else(hypernet: GHN) -> None:
    torch.manual_seed(0)
    model = Net().eval()
    model.norm.train()
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    model.norm.eval()
    before = snapshot(model)
    objects = {name: (id(parameter), parameter.data_ptr()) for name, parameter in model.named_parameters()}
    gradients = {name: copy.deepcopy(parameter.grad) for name, parameter in model.named_parameters()}
    required = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
    grad_mode = torch.is_grad_enabled()

    report = hypernet.initialize(model)

    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # type: ignore[index]
    assert random.getstate() == states[2]
    assert torch.is_grad_enabled() is grad_mode
    assert [module.training for module in model.modules()] == modes
    for name, parameter in model.named_parameters():
        assert (id(parameter), parameter.data_ptr()) == objects[name]
        assert parameter.requires_grad is required[name]
        assert (parameter.grad is None) is (gradients[name] is None)
        if parameter.grad is not None and gradients[name] is not None:
            torch.testing.assert_close(parameter.grad, gradients[name], rtol=0, atol=0)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {*report.predicted, "tied.weight"} == {*PREDICTED, "tied.weight"}
    assert model.tied.weight is model.hidden.weight
    assert model(torch.randn(2, 3, 8, 8)).isfinite().all()


def test_report(hypernet: GHN) -> None:
    model = Net()
    report = hypernet.initialize(model)
    assert sorted(report.predicted) == sorted(PREDICTED)
    assert report.kept == {
        "unused": "not used",
        "counts": "is of type int64, which is not predicted",
        "phases": "is of type complex64, which is not predicted",
    }
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert report.fraction == pytest.approx(sum(sizes[name] for name in PREDICTED) / sum(sizes.values()))
    assert report.traced_by == "stub"
    assert list(report.seconds) == ["tracing", "encoding", "decoding", "writing"]
    assert all(seconds >= 0 for seconds in report.seconds.values())
    weights = dict(model.named_parameters())
    norm = math.sqrt(sum(float(weights[name].detach().double().square().sum()) for name in report.predicted))
    assert report.total_norm == pytest.approx(norm, rel=1e-6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.fraction = 1.0  # type: ignore[misc]


def test_predict_is_initialize_without_the_model(hypernet: GHN) -> None:
    model = Net()
    before = snapshot(model)
    weights = hypernet.predict(model)
    assert unchanged(model, before)
    assert list(weights) == [name for name, _ in model.named_parameters() if name in PREDICTED]
    hypernet.initialize(model)
    for name, parameter in model.named_parameters():
        if name in weights:
            assert torch.equal(parameter, weights[name])
            assert not weights[name].requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_of_parameters(hypernet: GHN, dtype: torch.dtype) -> None:
    expected = hypernet.predict(Net())
    model = Net()
    model.hidden.to(dtype)
    for name, tensor in hypernet.predict(model).items():
        assert tensor.dtype == model.get_parameter(name).dtype
        assert torch.equal(tensor, expected[name].to(tensor.dtype))


def test_initialising_twice_gives_the_same(hypernet: GHN) -> None:
    model = Net()
    hypernet.initialize(model)
    before = snapshot(model)
    hypernet.initialize(model)
    assert unchanged(model, before)


def test_meta_models(hypernet: GHN) -> None:
    with torch.device("meta"):
        model = Net()
    weights = hypernet.predict(model)
    expected = hypernet.predict(Net())
    assert set(weights) == set(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())
    with pytest.raises(ValueError, match=r"conv.weight is on the meta device.*use `predict`.*to_empty"):
        hypernet.initialize(model)


def test_default_device_does_not_matter(hypernet: GHN) -> None:
    model = Net()
    expected = hypernet.predict(model)
    with torch.device("meta"):
        weights = hypernet.predict(model)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())


def test_inside_inference_mode(hypernet: GHN) -> None:
    model = Net()
    expected = hypernet.predict(model)
    with torch.inference_mode():
        hypernet.initialize(model)
        made_inside = Net()
    hypernet.initialize(made_inside)
    for name, tensor in expected.items():
        assert torch.equal(model.get_parameter(name), tensor)
        assert torch.equal(made_inside.get_parameter(name), tensor)
        assert not tensor.is_inference()


@pytest.mark.parametrize("head", ["keep", "predict"])
def test_head_with_other_classes(hypernet: GHN, head: Any) -> None:
    model = Net(classes=7)
    before = snapshot(model)
    report = hypernet.initialize(model, head=head)
    names = {"head.weight", "head.bias"}
    changed = {name for name in names if not torch.equal(model.get_parameter(name), before[name])}
    if head == "keep":
        assert not changed
        reason = "classification head of 7 classes; the hypernetwork predicts 10"
        assert {report.kept[name] for name in names} == {reason}
    else:
        assert changed == names
        assert names <= set(report.predicted)


def test_strict(hypernet: GHN) -> None:
    model = Net(classes=7)
    before = snapshot(model)
    fraction = hypernet.initialize(copy.deepcopy(model), strict=0.5).fraction
    for use in (hypernet.initialize, hypernet.predict):
        with pytest.raises(ValueError, match=rf"only {100 * fraction:.4g} % .* less than the 95 %.*head.weight"):
            use(model, strict=0.95)
    assert unchanged(model, before)


def test_fraction_that_is_met_is_not_refused(hypernet: GHN) -> None:
    model = Net(classes=7)
    fraction = hypernet.initialize(copy.deepcopy(model)).fraction
    assert 0 < fraction < 1
    assert hypernet.initialize(model, strict=fraction).fraction == fraction
    assert hypernet.predict(model, strict=fraction)
    with pytest.raises(ValueError, match="would be predicted, less than"):
        hypernet.initialize(model, strict=math.nextafter(fraction, 1))
    whole = nn.Sequential(model.hidden)
    graph = graph_of_net(model)
    specs = {
        f"0.{part}": dataclasses.replace(graph.parameters[f"hidden.{part}"], name=f"0.{part}", node=1)
        for part in ("weight", "bias")
    }
    nodes = (Node("input"), Node("conv", tuple(specs)))
    complete = ComputationalGraph(nodes, np.array([[0, 1]]), specs)
    assert hypernet.initialize(whole, strict=1.0, graph=complete).fraction == 1


def test_elements_of_unused_parameters_count(hypernet: GHN) -> None:
    small, large = Net(), Net()
    large.unused = nn.Parameter(torch.ones(5000))
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (small, large)]
    fractions = [hypernet.initialize(model).fraction for model in (small, large)]
    assert fractions[0] * sizes[0] == pytest.approx(fractions[1] * sizes[1])
    with pytest.raises(ValueError, match="the largest left out is unused: not used"):
        hypernet.initialize(large, strict=0.5)
    assert hypernet.initialize(small, strict=0.5).fraction > 0.5


@pytest.mark.parametrize("strict", [1.5, -0.1, math.nan])
def test_strict_is_a_fraction(hypernet: GHN, strict: float) -> None:
    model = Net()
    before = snapshot(model)
    for use in (hypernet.initialize, hypernet.predict):
        with pytest.raises(ValueError, match="strict is a fraction of all elements, between 0 and 1, not"):
            use(model, strict=strict)
    assert unchanged(model, before)


def test_graph_given_or_inputs_passed_on(hypernet: GHN, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Net()
    seen: list[Any] = []

    def trace(model: nn.Module, example_inputs: Any = None) -> ComputationalGraph:
        seen.append(example_inputs)
        return graph_of_net(model)

    monkeypatch.setattr("ghn.graph.trace.trace", trace)
    hypernet.initialize(model, "inputs")
    hypernet.predict(model, example_inputs=("more",))
    assert seen == ["inputs", ("more",)]
    report = hypernet.initialize(model, graph=graph_of_net(model))
    assert len(seen) == 2
    assert report.seconds["tracing"] < 0.01


def untraceable(model: nn.Module, example_inputs: Any = None) -> ComputationalGraph:
    raise ValueError("the forward pass fails")


def wrong_shapes(model: nn.Module, example_inputs: Any = None) -> ComputationalGraph:
    return graph_of_net(Net(classes=CLASSES + 3))


@pytest.mark.parametrize(
    ("trace", "match"),
    [
        (untraceable, "the forward pass fails"),
        (wrong_shapes, r"'head.weight' has shape \(7, 12\), not \(13, 12\)"),
    ],
)
def test_errors_change_nothing(
    hypernet: GHN, trace: Callable[..., ComputationalGraph], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghn.graph.trace.trace", trace)
    model = Net(classes=7)
    before = snapshot(model)
    with pytest.raises(ValueError, match=match):
        hypernet.initialize(model, head="predict")
    assert unchanged(model, before)


def test_damaged_hypernetworks_change_nothing(hypernet: GHN) -> None:
    model = Net()
    before = snapshot(model)
    with torch.no_grad():
        hypernet.ln.weight[0] = math.inf
    with pytest.raises(ValueError, match="is not finite; the hypernetwork's weights may be damaged"):
        hypernet.initialize(model)
    assert unchanged(model, before)


def test_models_without_parameters(hypernet: GHN) -> None:
    for use in (hypernet.initialize, hypernet.predict):
        with pytest.raises(ValueError, match="ReLU has no parameters"):
            use(nn.ReLU())


def test_lazy_parameters_are_kept(hypernet: GHN) -> None:
    model = Net()
    model.lazy = nn.LazyLinear(3)
    report = hypernet.initialize(model)
    assert report.kept["lazy.weight"] == "has no shape yet; run the model once first"


def test_parameters_that_the_graph_does_not_know(hypernet: GHN) -> None:
    model = Net()
    model.extra = nn.Parameter(torch.ones(2))
    assert hypernet.initialize(model).kept["extra"] == "not part of the traced graph"
    assert torch.equal(model.extra, torch.ones(2))
