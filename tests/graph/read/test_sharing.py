"""Parameters that share memory without being one object: nothing is written twice, and the report says so."""

import pytest
import torch
from torch import Tensor, nn

from ghn import GHN, GHNConfig
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda

X = torch.zeros(2, 4)


@pytest.fixture(scope="module")
def hypernet() -> GHN:
    torch.manual_seed(0)
    return GHN(GHNConfig.preset("ghn3-t", num_classes=5, spatial=11)).eval()


def chained(**weights: Tensor) -> Lambda:
    """Linear layers in the order of the names, each with a weight that may be a view of another's."""

    def forward(self: Lambda, x: Tensor) -> Tensor:
        for name in weights:
            x = nn.functional.linear(x, getattr(self, name)).relu()
        return x

    model = Lambda(forward)
    for name, weight in weights.items():
        setattr(model, name, nn.Parameter(weight))
    return model


def own(*shape: int) -> Tensor:
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float).view(shape)


W = own(8, 4)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("weights", "kept"),
    [
        (lambda w: {"a": w[:4], "b": w[:4]}, {"b": "a"}),
        (lambda w: {"a": w[:4], "b": w[:4].t()}, {"b": "a"}),
        (lambda w: {"a": w[:4], "b": w[2:6]}, {"b": "a"}),
        (lambda w: {"a": w[:4], "b": w[2:6], "c": w[4:]}, {"b": "a"}),
        (lambda w: {"a": w[:4], "b": w[4:]}, {}),
        (lambda w: {"a": w[0::2], "b": w[1::2]}, {}),
        (lambda w: {"a": w[0::2], "b": w[1::2].t()}, {}),
        (lambda w: {"a": w[:1].expand(4, 4), "b": w[4:]}, {}),
    ],
)
def test_first_of_those_that_overlap(weights, kept: dict[str, str], device: str) -> None:
    graph = trace(chained(**weights(W.clone().to(device))), X)
    assert dict(graph.kept) == {name: f"shares memory with {other}, which is predicted" for name, other in kept.items()}
    assert {name for node in graph.nodes for name in node.parameters} == set(graph.parameters)
    assert set(graph.parameters) == set(weights(W)) - set(kept)
    assert [node.op for node in graph.nodes] == ["input", *["conv"] * len(weights(W))]


def test_tables_stay_whole() -> None:
    words = nn.Embedding(9, 4)
    model = Lambda(lambda self, x: self.head(self.words(x).relu()), words=words, head=nn.Linear(4, 9, bias=False))
    model.head.weight.data = words.weight.data
    graph = trace(model, torch.zeros(2, 3, dtype=torch.long))
    assert not graph.parameters
    assert graph.kept["head.weight"] == "shares memory with words.weight, which keeps its own initialisation"
    assert "lookup" in graph.kept["words.weight"]


def test_a_whole_that_is_used_through_its_parts() -> None:
    whole = W.clone()
    model = chained(a=whole[:4], b=whole[4:])
    model.whole = nn.Parameter(whole)
    graph = trace(model, X)
    assert set(graph.parameters) == {"a", "b"}
    assert graph.kept == {"whole": "shares memory with b, which is predicted"}


def test_what_is_written_is_what_is_reported(hypernet: GHN) -> None:
    model = chained(a=(w := W.clone())[:4], b=w[2:6], c=w[6:])
    expected = hypernet.predict(model, X)
    report = hypernet.initialize(model, X)
    assert set(report.predicted) == {"a", "c"}
    assert list(report.kept) == ["b"]
    assert all(torch.equal(model.get_parameter(name), tensor) for name, tensor in expected.items())
    assert torch.equal(w[4:6], W[4:6])
