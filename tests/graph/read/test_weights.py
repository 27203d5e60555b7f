"""Weights that are computed from parameters, or from parameters and data."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.read.weights import WeightSides
from ghn.graph.reasons import ReasonCode
from ghn.graph.record.recorder import Recorder
from ghn.graph.trace import trace
from tests.graph.graphs import IMAGE, Lambda, chain, conv, edges, with_parameters

WIDE = torch.zeros(2, 6, 8, 8)


@pytest.mark.parametrize(
    "parametrize", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm]
)
def test_reparametrised_weights(parametrize) -> None:
    graph = trace(nn.Sequential(parametrize(conv()), parametrize(nn.Linear(16, 4))), IMAGE)
    assert chain(graph) == ["input", "conv", "conv", "bias"]
    assert sum(len(spec.shape) >= 2 for spec in graph.parameters.values()) == 2


def test_standardised_weights() -> None:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            gain = self.get_parameter("gain")
            flat = self.weight.reshape(1, len(self.weight), -1)
            weight = F.batch_norm(flat, None, None, weight=gain.view(-1), training=True).reshape_as(self.weight)
            return self._conv_forward(x, weight, self.bias)

    layer = Standardised(3, 8, 3)
    layer.gain = nn.Parameter(torch.ones(8, 1, 1, 1))
    graph = trace(nn.Sequential(layer), IMAGE)
    assert chain(graph) == ["input", "conv", "bias"]
    assert graph.kept == {"0.gain": "reparametrises 0.weight"}


def separately(routing: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.matmul(routing, weight.flatten(1)).view(-1, *shape[2:])


def summed(routing: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    return (routing[:, :, None, None, None, None] * weight.view(shape)).sum(1).flatten(0, 1)


def einsummed(routing: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.einsum("be,eoihw->boihw", routing, weight.view(shape)).reshape(-1, *shape[2:])


class Mixture(nn.Module):
    """Kernels mixed for each image of a batch: the images are groups of one convolution."""

    def __init__(self, mix, *, flat: bool = False, groups: int = 1, bias: bool = False) -> None:
        super().__init__()
        self.mix, self.groups = mix, groups
        self.shape = (3, 12, 6 // groups, 3, 3)
        self.routing = nn.Linear(6, 3, bias=False)
        stored = (3, torch.Size(self.shape[1:]).numel()) if flat else self.shape
        self.weight = nn.Parameter(torch.zeros(stored))
        self.bias = nn.Parameter(torch.zeros(3, 12)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        routing = torch.sigmoid(self.routing(x.mean((2, 3))))
        bias = None if self.bias is None else (routing @ self.bias).flatten()
        kernels = self.mix(routing, self.weight, self.shape)
        out = F.conv2d(x.reshape(1, -1, *x.shape[2:]), kernels, bias, groups=self.groups * len(x))
        return out.view(len(x), -1, *out.shape[2:])


@pytest.mark.parametrize("mix", [separately, summed, einsummed])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("batch", [1, 2])
def test_mixtures_of_kernels(mix, flat: bool, groups: int, batch: int) -> None:
    graph = trace(Mixture(mix, flat=flat, groups=groups), WIDE[:batch])
    assert [node.op for node in graph.nodes] == ["input", "glob_avg", "conv", "conv" if groups == 1 else "sep_conv"]
    assert {("input", "weight"), ("routing.weight", "weight")} <= edges(graph)
    spec = graph.parameters["weight"]
    assert (spec.canonical_shape, spec.stack) == ((3, 12, 6 // groups, 3, 3), 1)


def test_biases_of_mixtures() -> None:
    graph = trace(Mixture(separately, bias=True), WIDE)
    assert edges(graph) >= {("weight", "bias"), ("routing.weight", "bias")}
    assert graph.parameters["bias"].role is Role.BIAS


@pytest.mark.parametrize("transposed", [False, True])
def test_modulated_kernels(transposed: bool) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        weight = self.weight * self.style(x.mean((2, 3))).view(-1, 1, 6, 1, 1)
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        image = x.reshape(1, -1, 8, 8)
        if transposed:
            return F.conv_transpose2d(image, weight.transpose(1, 2).reshape(-1, 4, 3, 3), groups=len(x))
        return F.conv2d(image, weight.view(-1, 6, 3, 3), groups=len(x))

    graph = trace(with_parameters(Lambda(forward, style=nn.Linear(6, 6, bias=False)), weight=(1, 4, 6, 3, 3)), WIDE)
    assert [node.op for node in graph.nodes] == ["input", "glob_avg", "conv", "conv"]
    assert graph.nodes[3].shape == (4, 6, 3, 3)
    assert graph.parameters["weight"].canonical_shape == (1, 4, 6, 3, 3)


def test_generated_kernels_are_features() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return F.conv2d(x, self.generate(x.mean((0, 2, 3))).view(4, 6, 3, 3) * self.weight)

    graph = trace(with_parameters(Lambda(forward, generate=nn.Linear(6, 216)), weight=(1,)), WIDE)
    assert chain(graph) == ["input", "conv", "bias"]
    assert graph.nodes[1].shape == (216, 6)
    assert set(graph.kept) == {"weight"}


def sides(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, w: Tensor) -> tuple[set[str], set[str]]:
    """Names of the operations whose results a function of data and a parameter puts into weights, fixed and mixed."""
    recorder = Recorder()
    recorder.graph.parameters = {"w": recorder.add(w)}
    recorder.graph.inputs = [recorder.add(x)]
    with torch.no_grad(), recorder:
        function(x, w)
    found = WeightSides(recorder.graph)
    names = {output: operation.name for operation in recorder.graph.operations for output in operation.outputs}
    fixed, mixed = ({names[value] for value in side if value in names} for side in (found.fixed, found.mixed))
    return fixed, mixed


KERNEL, MATRIX, ROWS = torch.zeros(6, 6, 3, 3), torch.zeros(6, 6), torch.zeros(2, 6)


@pytest.mark.parametrize(
    ("function", "x", "w", "fixed", "mixed"),
    [
        (lambda x, w: x @ w, ROWS, MATRIX, set(), set()),
        (lambda x, w: x @ w.exp().tanh(), ROWS, MATRIX, {"exp", "tanh"}, set()),
        (lambda x, w: w.exp() @ x.T, ROWS, MATRIX, {"exp"}, set()),
        # Shapes and random numbers taken of data are no data.
        (lambda x, w: x @ (w * torch.zeros_like(x).sum()), ROWS, MATRIX, {"mul", "sum", "zeros_like"}, set()),
        (lambda x, w: x.exp() + w.sin()[:2], ROWS, MATRIX, set(), set()),
        (lambda x, w: F.conv2d(x, w.sin()), WIDE, KERNEL, {"sin"}, set()),
        (lambda x, w: F.conv2d(x, w * x.mean()), WIDE, KERNEL, set(), {"mul", "mean"}),
        # Followed through mixing alone: what generates kernels ends the way.
        (lambda x, w: F.conv2d(x, (w * x.mean().exp().tanh())), WIDE, KERNEL, set(), {"mul", "tanh"}),
    ],
)
def test_sides(function, x: Tensor, w: Tensor, fixed: set[str], mixed: set[str]) -> None:
    assert sides(function, x, w) == (fixed, mixed)


@pytest.mark.parametrize(
    ("function", "axis", "factors"),
    [
        (lambda w: w, 0, [(2, 12)]),
        (lambda w: w.transpose(0, 2), 0, [(4, 1)]),
        (lambda w: w.permute(2, 0, 1).contiguous(), 1, [(2, 12)]),
        (lambda w: w.flatten(1), 1, [(12, 1)]),
        (lambda w: w.permute(1, 0, 2).reshape(3, 8), 1, [(2, 12), (4, 1)]),
        (lambda w: w.permute(2, 1, 0).reshape(4, 6).t().clone(), 0, [(3, 4), (2, 12)]),
        (lambda w: w.permute(1, 0, 2).reshape(6, 4), 0, [(3, 4), (2, 12)]),
        # Not whole axes, and not followed.
        (lambda w: w.permute(1, 0, 2).reshape(2, 12), 1, []),
        (lambda w: w.exp(), 0, []),
        (lambda w: w.permute(1, 0, 2).flip(0), 0, []),
    ],
)
def test_factors_of_an_axis_that_was_copied(function, axis: int, factors: list[tuple[int, int]]) -> None:
    recorder = Recorder()
    parameter = torch.zeros(2, 3, 4)
    index = recorder.add(parameter)
    with torch.no_grad(), recorder:
        result = function(parameter)
    found = WeightSides(recorder.graph)
    assert found.factors(recorder.read(result), axis, recorder.graph.values[index].storage) == factors


# --- parameters laid side by side and taken apart again ---


def one_below_the_other(*weights: Tensor) -> tuple[Tensor, ...]:
    return torch.cat(weights).chunk(len(weights))


def stacked(*weights: Tensor) -> tuple[Tensor, ...]:
    return torch.stack(weights).unbind()


def stacked_last(*weights: Tensor) -> tuple[Tensor, ...]:
    together = torch.stack(weights, -1)
    return tuple(together[..., number] for number in range(len(weights)))


def in_one_vector(*weights: Tensor) -> tuple[Tensor, ...]:
    vector = torch.cat([weight.flatten() for weight in weights])
    parts = vector.split([weight.numel() for weight in weights])
    return tuple(part.view_as(weight) for part, weight in zip(parts, weights, strict=True))


def sliced_and_transposed(*weights: Tensor) -> tuple[Tensor, ...]:
    together = torch.cat(weights, 1).t()
    return tuple(together[8 * number : 8 * number + 8].t() for number in range(len(weights)))


@pytest.mark.parametrize("apart", [one_below_the_other, stacked, stacked_last, in_one_vector, sliced_and_transposed])
def test_a_part_of_parameters_together_is_the_parameter_that_lies_in_it(apart: Callable[..., Any]) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        for weight in apart(self.q, self.k, self.v):
            x = F.linear(x, weight).relu()
        return x

    graph = trace(with_parameters(Lambda(forward), q=(8, 8), k=(8, 8), v=(8, 8)), torch.zeros(4, 8))
    assert [node.parameters for node in graph.nodes] == [(), ("q",), ("k",), ("v",)]


def test_a_part_of_several_parameters_is_all_of_these() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        together = torch.cat([self.q, self.k, self.v])
        return F.linear(F.linear(x, together[:8]), together[8:].view(3, 8))

    graph = trace(with_parameters(Lambda(forward), q=(4, 8), k=(4, 8), v=(3, 8)), torch.zeros(4, 8))
    assert [node.parameters for node in graph.nodes] == [(), ("q", "k"), ("v",)]


# --- computations among weights that are no layers ---


def norm_scales(self: Lambda, x: Tensor) -> Tensor:
    update = self.b(self.a(torch.eye(8, device=x.device))).t()
    scale = (self.m / (self.l.weight + update).norm(dim=1).detach()).view(1, -1)
    base = F.linear(x, self.l.weight)
    return self.out(base + self.l.bias + (scale - 1) * base + scale * self.b(self.a(x)))


def test_the_norm_of_an_updated_weight_is_no_feature() -> None:
    modules = {"a": nn.Linear(8, 2, bias=False), "b": nn.Linear(2, 8, bias=False)}
    model = with_parameters(Lambda(norm_scales, l=nn.Linear(8, 8), out=nn.Linear(8, 3), **modules), m=(8,))
    graph = trace(model, torch.zeros(4, 8))
    ops = [node.op for node in graph.nodes]
    assert (ops.count("conv"), ops.count("pos_enc")) == (4, 0)
    assert set(graph.kept) == {"m"}
    assert ("b.weight", "sum") in edges(graph)


@pytest.mark.parametrize("first", [True, False])
def test_a_penalty_on_weights_is_no_layer(first: bool) -> None:
    def forward(self: Lambda, x: Tensor) -> tuple[Tensor, Tensor]:
        y = None if first else self.b(self.a(x))
        penalty = (self.a.weight @ self.a.weight.t() - torch.eye(8)).pow(2).sum()
        return self.b(self.a(x)) if y is None else y, penalty

    graph = trace(Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 3)), torch.zeros(4, 8))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]


def test_learned_queries_are_features_of_layers() -> None:
    """What parameters alone go through is a layer where nothing else uses them as a weight."""

    def forward(self: Lambda, x: Tensor) -> Tensor:
        return (self.a(self.q) @ x.transpose(1, 2)).softmax(-1) @ x

    graph = trace(with_parameters(Lambda(forward, a=nn.Linear(8, 8)), q=(3, 8)), torch.zeros(2, 5, 8))
    assert {"a.weight", "a.bias"} == set(graph.parameters)
    assert graph.kept["q"].code is ReasonCode.FEATURES


def folded(self: Lambda, x: Tensor) -> Tensor:
    gain = self.n.weight / torch.sqrt(self.n.running_var + self.n.eps)
    return F.conv2d(x, self.c.weight * gain.view(-1, 1, 1, 1), self.n.bias - self.n.running_mean * gain)


def standardised(self: Lambda, x: Tensor) -> Tensor:
    axes = (1, 2, 3)
    gain = self.n.weight.view(-1, 1, 1, 1) * self.c.weight.var(axes, keepdim=True).rsqrt()
    return F.conv2d(x, (self.c.weight - self.c.weight.mean(axes, keepdim=True)) * gain, self.n.weight * self.n.bias)


def scaled_outputs(self: Lambda, x: Tensor) -> Tensor:
    shape = (-1, 1, 1)
    return self.c(x) * self.n.weight.view(shape) + (self.n.bias * self.n.weight).view(shape)


def scaled_before_its_layer(self: Lambda, x: Tensor) -> Tensor:
    weight = self.c.weight * self.n.weight.view(-1, 1, 1, 1)
    return F.conv2d(x + self.n.weight[:3, None, None].mean(), weight, self.n.weight + self.n.bias)


@pytest.mark.parametrize("forward", [folded, standardised, scaled_outputs, scaled_before_its_layer])
def test_a_scale_is_no_bias_where_the_bias_is_scaled_too(forward: Callable[..., Tensor]) -> None:
    """Predicted as a bias, near zero, it would leave nothing of the weight."""
    graph = trace(Lambda(forward, c=conv(3, 8), n=nn.BatchNorm2d(8)), IMAGE)
    assert {name: spec.role for name, spec in graph.parameters.items()} == {
        "c.weight": Role.WEIGHT,
        "n.bias": Role.BIAS,
    }
    scale = forward is scaled_outputs
    assert graph.kept == {"n.weight": "an elementwise scale" if scale else "reparametrises c.weight"}


@pytest.mark.parametrize("scaled", ["weight", "output"])
def test_a_vector_that_scales_and_is_added_scales(scaled: str) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        if scaled == "output":
            return self.c(x) * self.g + self.g
        return F.linear(x, self.c.weight * self.g[:, None], self.g)

    graph = trace(with_parameters(Lambda(forward, c=nn.Linear(4, 8, bias=False)), g=(8,)), torch.zeros(2, 4))
    assert chain(graph) == ["input", "conv", "bias"]
    assert set(graph.parameters) == {"c.weight"}


def test_a_number_that_scales_a_bias_is_no_bias() -> None:
    model = Lambda(lambda self, x: F.linear(x, self.c.weight, self.s * self.c.bias), c=nn.Linear(4, 8))
    graph = trace(with_parameters(model, s=(1,)), torch.zeros(2, 4))
    assert graph.nodes[2].shape == (8,)
    assert graph.kept == {"s": "a single number"}


def split(self: Lambda, x: Tensor) -> Tensor:
    first, bias, second, last = self.flat.split([64, 8, 24, 3])
    return F.linear(torch.relu(F.linear(x, first.view(8, 8), bias)), second.view(3, 8), last)


def sliced(self: Lambda, x: Tensor) -> Tensor:
    x = torch.relu(x @ self.flat[:64].view(8, 8) + self.flat[64:72])
    return x @ self.flat[72:96].view(8, 3) + self.flat[96:]


@pytest.mark.parametrize("forward", [split, sliced])
def test_weights_cut_out_of_one_vector_are_layers_and_keep_it(forward: Callable[..., Tensor]) -> None:
    graph = trace(with_parameters(Lambda(forward), flat=(99,)), torch.zeros(2, 8))
    assert chain(graph) == ["input", "conv", "bias", "conv", "bias"]
    assert graph.nodes[1].shape == (8, 8)
    assert {name: reason.code for name, reason in graph.kept.items()} == {"flat": ReasonCode.COMPUTED}
