"""Which axes of a weight count members of a stack, outputs, inputs and kernel positions, whatever it is stored as."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.read.layout import mixed_kernel_layout
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, chain, edges, with_parameters

IMAGE = torch.zeros(2, 6, 8, 8)


def places(graph, name: str = "weight") -> Tensor:
    """The canonical tensor of a parameter whose elements are their own places in the parameter."""
    spec = graph.parameters[name]
    own = torch.arange(torch.Size(spec.shape).numel()).view(spec.shape)
    return own.view(spec.view).permute(spec.axes).flatten(0, spec.stack)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("outputs", [6, 12])
def test_transposed_convolutions(groups: int, outputs: int) -> None:
    layer = nn.ConvTranspose2d(6, outputs, (3, 2), groups=groups, bias=False)
    graph = trace(nn.Sequential(layer), IMAGE)
    assert chain(graph) == ["input", "conv" if groups == 1 else "sep_conv"]
    assert graph.nodes[1].shape == (outputs, 6 // groups, 3, 2)
    # The definition: output channel o sees the inputs of its group alone.
    layer.weight.data = torch.arange(layer.weight.numel(), dtype=torch.float).view_as(layer.weight) + 1
    canonical = places(graph, "0.weight") + 1
    for output in range(outputs):
        seen = [layer(one_hot)[0, output] for one_hot in torch.eye(6).view(6, 1, 6, 1, 1)]
        kernels = torch.stack([kernel for kernel in seen if kernel.any()])
        assert torch.equal(kernels, canonical[output].float())


def fixed(shape: tuple[int, ...], function: Callable[[Tensor, Tensor], Tensor]) -> Lambda:
    return with_parameters(Lambda(lambda self, x: function(x, self.weight)), weight=shape)


@pytest.mark.parametrize(
    ("shape", "function", "expected"),
    [
        ((4, 54), lambda x, w: F.conv2d(x, w.view(4, 6, 3, 3)), lambda w: w.view(4, 6, 3, 3)),
        ((3, 5, 6, 4), lambda x, w: F.conv2d(x, w.permute(3, 2, 0, 1)), lambda w: w.permute(3, 2, 0, 1)),
        ((4, 6), lambda x, w: F.conv2d(x, w[:, :, None, None]), lambda w: w[:, :, None, None]),
        ((4, 6, 3, 3), lambda x, w: w.flatten(1) @ F.unfold(x, 3), lambda w: w),
        ((6, 4, 3), lambda x, w: F.conv_transpose1d(x.flatten(2), w), lambda w: w.transpose(0, 1)),
    ],
)
def test_kernels_stored_otherwise(shape: tuple[int, ...], function, expected) -> None:
    graph = trace(fixed(shape, function), IMAGE)
    own = torch.arange(torch.Size(shape).numel()).view(shape)
    assert torch.equal(places(graph), expected(own))
    assert graph.nodes[1].shape == tuple(expected(own).shape)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_storage_in_memory_does_not_matter(kind: type[nn.Module], memory_format: torch.memory_format) -> None:
    layer = kind(6, 4, 3, bias=False).to(memory_format=memory_format)
    spec = trace(nn.Sequential(layer), IMAGE).parameters["0.weight"]
    assert spec.view == spec.shape
    assert spec.axes == ((0, 1, 2, 3) if kind is nn.Conv2d else (1, 0, 2, 3))


@pytest.mark.parametrize(
    ("equation", "shape", "canonical"),
    [
        ("bthd,hde->bte", (2, 3, 6), (6, 6)),
        ("bthd,hde->bte", (2, 3, 5), (5, 6)),
        ("bthd,ehd->bte", (5, 2, 3), (5, 6)),
        ("bthd,ehd->bte", (6, 2, 3), (6, 6)),
        ("bthd,hdkm->btkm", (2, 3, 4, 5), (20, 6)),
        ("bthd,hdkm->btkm", (2, 3, 6, 1), (6, 6)),
        ("bthd,dhe->bte", (3, 2, 5), (5, 6)),
        ("bthd,dhe->bte", (3, 2, 6), (6, 6)),
        ("bthd,dhe->bteh", (3, 2, 5), (10, 3)),
        ("bthd,deh->bte", (3, 5, 2), (5, 3, 2)),
    ],
)
def test_weights_of_several_input_axes(equation: str, shape: tuple[int, ...], canonical: tuple[int, ...]) -> None:
    model = fixed(shape, lambda x, w: torch.einsum(equation, x, w))
    graph = trace(model, torch.zeros(2, 7, 2, 3))
    assert chain(graph) == ["input", "conv"]
    assert graph.nodes[1].shape == canonical
    # The definition: the elements that one output is made from.
    w = torch.arange(torch.Size(shape).numel(), dtype=torch.float).view(shape) + 1
    w.requires_grad_()
    result = torch.einsum(equation, torch.ones(1, 1, 2, 3), w).flatten()
    rows = {tuple(sorted(row.flatten().tolist())) for row in places(graph)}
    gradients = [torch.autograd.grad(output, w, retain_graph=True)[0].flatten() for output in result]
    assert rows == {tuple(gradient.nonzero().flatten().tolist()) for gradient in gradients}


def test_bilinear_forms() -> None:
    layer = nn.Bilinear(3, 4, 5)
    model = Lambda(lambda self, x, y: self.form(self.a(x), y), a=nn.Linear(2, 3, bias=False), form=layer)
    graph = trace(model, (torch.zeros(2, 2), torch.zeros(2, 4)))
    assert edges(graph) == {
        ("input", "a.weight"),
        ("input", "form.weight"),
        ("a.weight", "form.weight"),
        ("form.weight", "form.bias"),
    }
    assert graph.parameters["form.weight"].canonical_shape == graph.nodes[2].shape == (5, 12)


# Biases and positions

TOKENS = torch.zeros(2, 7, 6)


@pytest.mark.parametrize("shape", [(2, 1, 3), (1, 2, 1, 3)])
@pytest.mark.parametrize("fused", [1, 3])
def test_biases_of_heads_are_no_positions(shape: tuple[int, ...], fused: int) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        queries = self.a(x).chunk(fused, -1)[0].unflatten(-1, (2, 3)).transpose(1, 2)
        return self.out((queries + self.weight).transpose(1, 2).flatten(2).relu())

    layers = {"a": nn.Linear(6, 6 * fused, bias=False), "out": nn.Linear(6, 6, bias=False)}
    graph = trace(with_parameters(Lambda(forward, **layers), weight=shape), TOKENS)
    assert chain(graph) == ["input", "conv", "bias", "conv"]
    assert graph.parameters["weight"].role is Role.BIAS


@pytest.mark.parametrize("shape", [(1, 7, 6), (7, 6), (1, 7, 1)])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("first", [True, False])
def test_positions_added_and_subtracted(shape: tuple[int, ...], sign: int, first: bool) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        x = self.a(x)
        if sign < 0:
            return self.out(x - self.weight if first else self.weight - x)
        return self.out(x + self.weight if first else self.weight + x)

    layers = {"a": nn.Linear(6, 6, bias=False), "out": nn.Linear(6, 6, bias=False)}
    graph = trace(with_parameters(Lambda(forward, **layers), weight=shape), TOKENS)
    if shape == (1, 7, 1):
        assert chain(graph) == ["input", "conv", "bias", "conv"]
        return
    assert graph.parameters["weight"].role is Role.POSITION
    assert {("weight", "sum"), ("a.weight", "sum"), ("sum", "out.weight")} <= edges(graph)


def test_subtracted_bias_and_difference_of_features() -> None:
    layers = {"a": nn.Linear(6, 6, bias=False), "b": nn.Linear(6, 6, bias=False), "out": nn.Linear(6, 4, bias=False)}
    model = Lambda(lambda self, x: self.out(self.a(x) - self.weight - self.b(x)), **layers)
    graph = trace(with_parameters(model, weight=(6,)), TOKENS)
    assert [node.op for node in graph.nodes] == ["input", "conv", "bias", "conv", "conv"]


def test_positions_with_the_batch_second() -> None:
    model = Lambda(lambda self, x: self.out(self.a(x) + self.weight), a=nn.Linear(6, 6), out=nn.Linear(6, 6))
    graph = trace(with_parameters(model, weight=(7, 1, 6)), TOKENS.transpose(0, 1))
    assert graph.parameters["weight"].role is Role.POSITION
    assert graph.parameters["weight"].canonical_shape == (7, 6)


# Mixtures of kernels


MIXED = (3, 12, 6, 3, 3)


@pytest.mark.parametrize(
    ("shape", "view", "stack"),
    [
        ((3, 4, 6, 3, 3), (3, 4, 6, 3, 3), 1),
        ((4, 6, 3, 3), (4, 6, 3, 3), 0),
        ((3, 216), (3, 4, 6, 3, 3), 1),
        ((2, 3, 216), (2, 3, 4, 6, 3, 3), 2),
        ((216,), (4, 6, 3, 3), 0),
    ],
)
def test_stored_kernels(shape: tuple[int, ...], view: tuple[int, ...], stack: int) -> None:
    layout = mixed_kernel_layout(shape, (6, 3, 3))
    assert layout is not None
    assert (layout.view, layout.stack) == (view, stack)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 3), (4, 5, 3, 3), (3, 215), (54,)])
def test_what_holds_no_kernels(shape: tuple[int, ...]) -> None:
    assert mixed_kernel_layout(shape, (6, 3, 3)) is None


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.ConvTranspose2d(3, 5, 3, bias=False), (2, 3, 8, 8), (1, 0, 2, 3)),
        (nn.Conv1d(3, 5, 3, bias=False), (2, 3, 8), (0, 1, 2)),
        (nn.Conv3d(3, 5, 3, bias=False), (2, 3, 8, 8, 8), (0, 1, 2, 3, 4)),
        (nn.Linear(3, 5, bias=False), (2, 3), (0, 1)),
        (nn.Linear(3, 3, bias=False), (2, 7, 3), (0, 1)),
    ],
)
def test_axes_of_layers(layer: nn.Module, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    graph = trace(nn.Sequential(layer), torch.zeros(shape))
    assert graph.parameters["0.weight"].axes == axes
    assert graph.nodes[1].shape == graph.parameters["0.weight"].canonical_shape


@pytest.mark.parametrize(
    ("equation", "shape", "axes", "stack"),
    [
        ("bnd,dk->bnk", (6, 4), (1, 0), 0),
        ("bnd,kd->bnk", (4, 6), (0, 1), 0),
        ("bnd,dd->bnd", (6, 6), (1, 0), 0),
        ("bnd,dhk->bnhk", (6, 2, 3), (1, 2, 0), 1),
        ("bhnd,hdk->bhnk", (5, 6, 4), (0, 2, 1), 1),
    ],
)
def test_axes_of_products(equation: str, shape: tuple[int, ...], axes: tuple[int, ...], stack: int) -> None:
    model = Lambda(lambda self, x: torch.einsum(equation.replace("dd->bnd", "de->bne"), x, self.weight))
    model.weight = nn.Parameter(torch.zeros(shape))
    x = torch.zeros(2, 5, 7, 6) if equation.startswith("bh") else torch.zeros(2, 7, 6)
    spec = trace(model, x).parameters["weight"]
    assert (spec.axes, spec.stack) == (axes, stack)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_of_convolutions(groups: int) -> None:
    graph = trace(nn.Sequential(nn.Conv2d(4, 8, 3, groups=groups)), torch.zeros(2, 4, 8, 8))
    assert graph.parameters["0.weight"].groups == groups
    assert graph.parameters["0.bias"].groups == 1
