"""Parameters and buffers of any class, type and layout: predicted, or kept with a reason, and never half written."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph.trace import trace
from ghn.hypernet.mlp import linear_layer
from ghn.model import GHN
from tests.hypernet.conftest import small_hypernet
from tests.kinds import KEPT, WRITTEN, numbers

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*quantized tensor creation functions.*:UserWarning", "ignore:Sparse .* tensor support.*:UserWarning"
)

X = torch.zeros(2, 8)


@pytest.fixture(scope="module")
def hypernet() -> GHN:
    return small_hypernet()


class Between(nn.Module):
    """Two ordinary layers around one whose weight is of some kind."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 10)
        self.register_parameter("weight", weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if weight.dtype not in (torch.float32, torch.complex64) or weight.is_quantized:
            weight = weight.dequantize() if weight.is_quantized else weight.to(torch.float32)
        hidden = self.first(x).to(weight.dtype) @ weight
        return self.last(hidden.real if hidden.is_complex() else hidden)


ORDINARY = {"first.weight", "first.bias", "last.weight", "last.bias"}


@pytest.mark.parametrize("kind", WRITTEN)
def test_kinds_that_are_predicted(hypernet: GHN, kind: str) -> None:
    expected = hypernet.predict(Between(nn.Parameter(torch.zeros(8, 8))), X)
    model = Between(WRITTEN[kind]())
    weight, address = model.weight, model.weight.data_ptr()
    weights = hypernet.predict(model, X)
    report = hypernet.initialize(model, X, strict=1.0)
    assert report.fraction == 1
    assert model.weight is weight
    assert weight.data_ptr() == address
    for name, tensor in expected.items():
        predicted = tensor.to(weights[name].dtype).float()
        assert torch.equal(weights[name].float(), predicted)
        assert torch.equal(numbers(model.get_parameter(name)), predicted)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KEPT)
def test_kinds_that_are_kept(hypernet: GHN, kind: str) -> None:
    make, words = KEPT[kind]
    model = Between(make())
    weight, before = model.weight, numbers(model.weight)
    assert set(hypernet.predict(model, X)) == ORDINARY
    report = hypernet.initialize(model, X)
    assert set(report.predicted) == ORDINARY
    assert set(report.kept) == {"weight"}
    assert any(word in report.kept["weight"] for word in words.split("|")), report.kept["weight"]
    assert model.weight is weight
    after = numbers(weight)
    assert (before is None and after is None) or torch.equal(before, after)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [*WRITTEN, *KEPT])
def test_a_refusal_leaves_every_kind_as_it_was(hypernet: GHN, kind: str) -> None:
    make = WRITTEN[kind] if kind in WRITTEN else KEPT[kind][0]
    model = Between(make())
    objects, before = dict(model.named_parameters()), [numbers(tensor) for tensor in model.parameters()]
    damaged = copy.deepcopy(hypernet)
    linear_layer(damaged.bias_class, 1).bias.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"prediction for last.bias is not finite"):
        damaged.initialize(model, X)
    assert all(model.get_parameter(name) is tensor for name, tensor in objects.items())
    for old, tensor in zip(before, model.parameters(), strict=True):
        assert old is None or torch.equal(old, numbers(tensor))  # type: ignore[arg-type]


ADJACENCY: dict[str, Callable[[], Any]] = {
    "dense": lambda: torch.eye(5),
    "coordinates": lambda: torch.eye(5).to_sparse(),
    "rows": lambda: torch.eye(5).to_sparse_csr(),
    "columns": lambda: torch.eye(5).to_sparse_csc(),
    "on meta": lambda: torch.eye(5, device="meta"),
}


class Neighbours(nn.Module):
    adjacency: Tensor | None

    def __init__(self, adjacency: Tensor | None = None, product: Callable[[Tensor, Tensor], Tensor] = torch.mm) -> None:
        super().__init__()
        self.first, self.second, self.product = nn.Linear(8, 16), nn.Linear(16, 4), product
        self.register_buffer("adjacency", adjacency)

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        adjacency = self.adjacency if adjacency is None else adjacency
        assert adjacency is not None
        return self.second(self.product(adjacency, F.relu(self.first(self.product(adjacency, x)))))


def by_values(adjacency: Tensor, x: Tensor) -> Tensor:
    """What only a sparse tensor can do."""
    rows, columns = adjacency.to_sparse_coo().coalesce().indices()
    return torch.zeros_like(x).index_add(0, rows, x[columns])


@pytest.mark.parametrize("product", [torch.mm, torch.sparse.mm, by_values])
@pytest.mark.parametrize("kind", ADJACENCY)
def test_sparse_buffers_and_arguments(kind: str, product: Callable[[Tensor, Tensor], Tensor]) -> None:
    if kind == "on meta" and product is by_values:
        pytest.skip("there are no values on meta")
    x, expected = torch.zeros(5, 8), ["input", "conv", "bias", "conv", "bias"]
    inside, given = Neighbours(ADJACENCY[kind](), product), Neighbours(None, product)
    for graph in (trace(inside, x), trace(given, (x, ADJACENCY[kind]()))):
        assert [node.op for node in graph.nodes] == expected
        assert len(graph.parameters) == 4


def test_parameters_that_see_the_same_bytes_as_another_type(hypernet: GHN) -> None:
    class Polar(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = nn.Parameter(torch.randn(8, 8, dtype=torch.complex64))
            self.parts = nn.Parameter(torch.view_as_real(self.both.detach()).flatten(1))
            self.last = nn.Linear(16, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x @ self.parts + (x @ self.both.real).mean())

    model = Polar()
    before = model.both.detach().clone()
    report = hypernet.initialize(model, X)
    assert torch.equal(model.both, before)
    assert report.kept["parts"] == "shares memory with both, which keeps its own initialisation"


def test_empty_tensors_with_huge_axes(hypernet: GHN) -> None:
    model = Between(nn.Parameter(torch.randn(8, 8)))
    model.empty = nn.Parameter(torch.empty(0, 1 << 40))
    assert hypernet.initialize(model, X).kept["empty"] == "unused: no path to the output"


def test_nested_parameters(hypernet: GHN) -> None:
    model = Between(nn.Parameter(torch.randn(8, 8)))
    model.ragged = nn.Parameter(torch.nested.nested_tensor([torch.zeros(2, 8), torch.zeros(3, 8)], layout=torch.jagged))
    report = hypernet.initialize(model, X)
    assert set(report.kept) == {"ragged"}
    assert not model.ragged.values().any()
