"""Whatever a user writes: models put together at random, and awkward ones."""

from __future__ import annotations

import copy
import inspect
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ghn import GHN, GHNConfig, InitReport
from ghn.graph.reasons import ReasonCode

CHANNELS = 8


@pytest.fixture(scope="module")
def hypernet() -> GHN:
    torch.manual_seed(0)
    return GHN(GHNConfig.preset("ghn3-t", num_classes=5, spatial=11)).eval()


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Branches(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.merge = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(torch.cat([self.first(x), self.second(x)], 1))


class Split(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.narrow, self.body, self.wide = nn.Conv2d(CHANNELS // 2, CHANNELS, 1), body, nn.Conv2d(CHANNELS, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, 1)
        return torch.cat([kept, self.wide(self.body(self.narrow(changed)))], 1)


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(CHANNELS, 4), nn.Linear(4, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.attention = nn.MultiheadAttention(CHANNELS, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        mixed = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(CHANNELS, 1, 1))
        self.shift = nn.Parameter(torch.zeros(CHANNELS, 1, 1))
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.shift


class Twice(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.relu(self.body(x)))


class WrittenGate(nn.Module):
    """A gate without an operator for pooling, on root-mean-square normalised features."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.up = nn.Parameter(torch.ones(CHANNELS)), nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, x.shape[2:]).flatten(1)
        pooled = pooled * torch.rsqrt(pooled.square().mean(-1, keepdim=True) + 1e-6) * self.weight
        return x * torch.sigmoid(self.up(pooled))[:, :, None, None]


class WrittenAttention(nn.Module):
    """Attention without an operator for it, with weights and biases per head."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Parameter(torch.randn(3, CHANNELS, 2, CHANNELS // 2) / 3)
        self.bias = nn.Parameter(torch.zeros(3, 1, 2, 1, CHANNELS // 2))
        self.out = nn.Parameter(torch.randn(2, CHANNELS // 2, CHANNELS) / 3)
        self.positions = nn.Parameter(torch.zeros(1, 64, CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens - self.positions if tokens.shape[1] == 64 else tokens
        q, k, v = torch.einsum("btc,schd->sbhtd", tokens, self.qkv) + self.bias
        scores = (q[:, :, :, None] * k[:, :, None]).sum(-1)
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        weights = weights / weights.sum(-1, keepdim=True)
        mixed = torch.einsum("bhtd,hdc->btc", weights @ v, self.out)
        return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])


class Mixture(nn.Module):
    """Kernels mixed for each image of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(3, CHANNELS * CHANNELS * 9) / 9)
        self.biases = nn.Parameter(torch.zeros(3, CHANNELS))
        self.routing = nn.Linear(CHANNELS, 3)

    def forward(self, x: Tensor) -> Tensor:
        routing = torch.sigmoid(self.routing(x.mean((2, 3))))
        kernels = (routing @ self.kernels).view(-1, CHANNELS, 3, 3)
        image = x.reshape(1, -1, *x.shape[2:])
        return F.conv2d(image, kernels, (routing @ self.biases).flatten(), padding=1, groups=len(x)).view_as(x)


class Threads(nn.Module):
    """A body that runs in another thread."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as pool:
            return x + pool.submit(self.body, x).result()


class Closure(nn.Module):
    """A body in a function that nobody else holds, called with a dict."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.calls = body, [0]
        self.run = lambda batch, held=body: {"out": held(**{"x" if _takes_x(held) else "input": batch["x"]})}

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(self.calls))
        return self.run({"x": x})["out"]


def _takes_x(module: nn.Module) -> bool:
    return "x" in inspect.signature(module.forward).parameters


class Weak(nn.Module):
    """A body that is held twice: by a container, and by weak references that run it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"body": body})
        self.shared: Any = {"all": [self.parts, (weakref.ref(body),)]}

    def forward(self, x: Tensor) -> Tensor:
        return self.shared["all"][1][0]()(x)


class Hooked(nn.Module):
    """A hook takes features away and runs a layer on them."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.after = body, nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.features: dict[str, list[Tensor]] = {}
        body.register_forward_hook(lambda module, args, output: self.features.update(out=[output]))

    def forward(self, x: Tensor) -> Tensor:
        self.body(x)
        return x + self.after(self.features["out"][0])


LEAVES: list[Any] = [
    lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
    lambda: nn.Conv2d(CHANNELS, CHANNELS, (1, 5), padding="same", groups=CHANNELS, bias=False),
    lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=2, dilation=2, groups=2),
    lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, padding=1),
    lambda: nn.Sequential(nn.Conv2d(CHANNELS, 12, 1), nn.ConvTranspose2d(12, CHANNELS, 3, padding=1, groups=4)),
    WrittenGate,
    WrittenAttention,
    Mixture,
    lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(CHANNELS, CHANNELS, 1)),
    lambda: nn.BatchNorm2d(CHANNELS),
    lambda: nn.GroupNorm(2, CHANNELS),
    lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    lambda: nn.PReLU(),
    lambda: nn.GELU(),
    lambda: nn.MaxPool2d(3, 1, 1),
    lambda: nn.AvgPool2d(3, 1, 1),
    lambda: nn.Dropout(0.1),
    Gate,
    Attention,
    Scaled,
]

MODULES = st.recursive(
    st.sampled_from(LEAVES).map(lambda make: lambda: make()),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda made: lambda: nn.Sequential(*(make() for make in made))),
        inner.map(lambda make: lambda: Residual(make())),
        inner.map(lambda make: lambda: Split(make())),
        inner.map(lambda make: lambda: Twice(make())),
        inner.map(lambda make: lambda: Threads(make())),
        inner.map(lambda make: lambda: Closure(make())),
        inner.map(lambda make: lambda: Weak(make())),
        inner.map(lambda make: lambda: Hooked(make())),
        st.tuples(inner, inner).map(lambda two: lambda: Branches(two[0](), two[1]())),
    ),
    max_leaves=6,
)


def network(body: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 5)]
    return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), body, *head)


def check(hypernet: GHN, model: nn.Module, *inputs: Any, again: nn.Module | None = None) -> InitReport:
    """Initialise, and hold what must hold for every model; `again` is one alike, of those that a copy shares with."""
    before = again or copy.deepcopy(model)
    report = hypernet.initialize(model, inputs)
    names = [name for name, _ in model.named_parameters()]
    assert sorted([*report.predicted, *report.kept]) == sorted(names)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before.get_buffer(name)), name
    for name in report.kept:
        assert torch.equal(model.get_parameter(name), before.get_parameter(name)), name
    modes = [m.training for m in before.modules()]
    again = again or copy.deepcopy(before)
    hypernet.initialize(again, inputs)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert [m.training for m in model.modules()] == modes
    _train_a_step(model, *inputs)
    return report


def _train_a_step(model: nn.Module, *inputs: Any) -> None:
    torch.manual_seed(0)
    inputs = tuple(torch.randn_like(x) if x.is_floating_point() else x for x in inputs)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    output = model(*inputs)
    loss = (output if isinstance(output, Tensor) else output[0]).square().mean()
    assert torch.isfinite(loss)
    loss.backward()
    optimizer.step()
    assert all(torch.isfinite(p).all() for p in model.parameters())


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(make=MODULES)
def test_random_compositions(hypernet: GHN, make: Any) -> None:
    import ghn

    def build() -> nn.Module:
        torch.manual_seed(0)
        return network(make())

    model = build()
    x = torch.zeros(2, 3, 8, 8)
    graph = ghn.trace(model, x)
    networkx = nx.from_edgelist(graph.edges.tolist(), nx.DiGraph)
    assert nx.is_directed_acyclic_graph(networkx)
    assert set(networkx) == set(range(len(graph)))
    assert nx.descendants(networkx, 0) >= {
        i for i, node in enumerate(graph.nodes) if node.op not in ("input", "pos_enc")
    }
    check(hypernet, model, x, again=build())
    _unused_parameters_have_no_gradient(build(), x)


def _unused_parameters_have_no_gradient(model: nn.Module, x: Tensor) -> None:
    import ghn

    kept = ghn.trace(model, x).kept
    model(torch.randn_like(x)).sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (name in kept and kept[name].code is ReasonCode.UNUSED), name


class Stacked(nn.Module):
    """Experts in one tensor, as mixtures keep them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 8, 6))
        self.gate = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.einsum("bi,eio->beo", x, self.weight)
        return (mixed * self.gate(x).softmax(-1)[..., None]).sum(1)


@pytest.mark.parametrize(
    ("model", "inputs", "least"),
    [
        (nn.Sequential(nn.Conv1d(2, 6, 5), nn.BatchNorm1d(6)), (torch.zeros(2, 2, 20),), 1.0),
        (nn.Sequential(nn.Conv3d(2, 6, 3), nn.BatchNorm3d(6), nn.ReLU()), (torch.zeros(2, 2, 6, 6, 6),), 1.0),
        (nn.Sequential(nn.ConvTranspose2d(4, 6, 4, 2), nn.ReLU()), (torch.zeros(2, 4, 6, 6),), 1.0),
        (nn.Sequential(nn.ConvTranspose1d(4, 6, 4), nn.ReLU()), (torch.zeros(2, 4, 6),), 1.0),
        (nn.Sequential(nn.Conv2d(3, 4, 25), nn.ReLU()), (torch.zeros(2, 3, 32, 32),), 1.0),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (torch.zeros(2, 5, 8),), 1.0),
        (nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), (torch.zeros(2, 5, 8), torch.zeros(2, 4, 8)), 1.0),
        (nn.LSTM(4, 6, num_layers=2, bidirectional=True), (torch.zeros(2, 5, 4),), 1.0),
        (nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 8), nn.ReLU()), (torch.ones(2, 5, dtype=torch.long),), 0.3),
        (Stacked(), (torch.zeros(2, 8),), 1.0),
        (nn.Bilinear(3, 4, 5), (torch.zeros(2, 3), torch.zeros(2, 4)), 1.0),
        (nn.ConvTranspose2d(6, 4, 3, groups=2), (torch.zeros(2, 6, 5, 5),), 1.0),
        (nn.ConvTranspose3d(4, 6, (1, 2, 3), groups=2), (torch.zeros(2, 4, 5, 5, 5),), 1.0),
        (Mixture(), (torch.zeros(2, 8, 5, 5),), 1.0),
        (WrittenAttention(), (torch.zeros(2, 8, 8, 8),), 1.0),
        (WrittenGate(), (torch.zeros(2, 8, 5, 5),), 1.0),
        (nn.Sequential(nn.Linear(1, 1), nn.ReLU()), (torch.zeros(2, 1),), 0.4),
    ],
)
def test_awkward_models(hypernet: GHN, model: nn.Module, inputs: tuple, least: float) -> None:
    report = check(hypernet, model, *inputs)
    assert report.fraction >= least, report


def test_frozen_tied_half_precision(hypernet: GHN) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()).to(torch.bfloat16)
    model[2].weight = model[0].weight
    model[0].bias.requires_grad_(False)
    report = check(hypernet, model, torch.zeros(2, 8, dtype=torch.bfloat16))
    assert report.fraction == 1
    assert model[2].weight is model[0].weight
    assert not model[0].bias.requires_grad


@pytest.mark.parametrize("classes", [3, 5])
def test_head_with_other_classes_keeps_its_initialisation(hypernet: GHN, classes: int) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, classes))
    report = check(hypernet, model, torch.zeros(2, 3, 2, 2))
    assert ("3.weight" in report.predicted) == (classes == 5)
    if classes == 3:
        assert "classes" in report.kept["3.weight"]
        assert hypernet.initialize(model, torch.zeros(2, 12), head="predict").fraction == 1


def test_lazy_modules_get_their_shapes_and_are_predicted(hypernet: GHN) -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))
    report = hypernet.initialize(model, torch.zeros(2, 3, 6, 6))
    assert report.fraction == 1
    assert model.training
    assert model[3].weight.shape == (5, 64)
    assert torch.equal(model[1].get_buffer("running_mean"), torch.zeros(4))
    with pytest.raises(ValueError, match="forward pass of Sequential fails"):
        hypernet.initialize(nn.Sequential(nn.LazyConv2d(4, 3)), torch.zeros(7))


def test_parts_on_several_devices(hypernet: GHN) -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5))
    expected = hypernet.predict(model, torch.zeros(2, 8))
    model[2].to("meta")
    weights = hypernet.predict(model, torch.zeros(2, 8))
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    before = copy.deepcopy(model[0].state_dict())
    with pytest.raises(ValueError, match=r"2\.weight is on the meta device"):
        hypernet.initialize(model, torch.zeros(2, 8))
    assert all(torch.equal(before[key], value) for key, value in model[0].state_dict().items())


def test_strict(hypernet: GHN) -> None:
    model = nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 2))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="less than the 90 %"):
        hypernet.initialize(model, torch.ones(2, 5, dtype=torch.long), strict=0.9)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
