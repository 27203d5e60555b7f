"""Models that a reviewer broke the tracer with."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn import GHN, GHNConfig
from ghn.graph.reasons import ReasonCode
from ghn.graph.trace import trace

X = torch.zeros(4, 8)


def ops(model: nn.Module, inputs: Tensor = X) -> list[str]:
    return [node.op for node in trace(model, inputs).nodes]


class Routed(nn.Module):
    """A mixture of experts that leaves out those without a token."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.gate, self.out = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(16, 10)
        self.experts = nn.ModuleList(nn.Linear(16, 16) for _ in range(8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        weights, chosen = self.gate(h).softmax(-1).max(-1)
        y = torch.zeros_like(h)
        for number, expert in enumerate(self.experts):
            mask = chosen == number
            if not mask.any():
                continue
            y[mask] = weights[mask, None] * expert(h[mask])
        return self.out(h + y)


def test_experts_without_a_token_are_predicted_and_the_same_each_time() -> None:
    torch.manual_seed(0)
    model = Routed()
    hypernet = GHN(GHNConfig.preset("ghn3-t", num_classes=10)).eval()
    assert not hypernet.initialize(model, X).kept
    first = {name: parameter.clone() for name, parameter in model.named_parameters()}
    hypernet.initialize(model, X)
    assert all(torch.equal(first[name], parameter) for name, parameter in model.named_parameters())


class Quantised(nn.Module):
    """A codebook is compared with features before its rows are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.codes, self.out = nn.Linear(8, 16), nn.Embedding(32, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        z = self.a(x)
        nearest = (self.codes.weight.pow(2).sum(1) - 2 * z @ self.codes.weight.t()).argmin(1)
        return self.out(z + (self.codes(nearest) - z).detach())


def test_a_codebook_is_a_lookup_table_also_where_it_is_compared_first() -> None:
    graph = trace(Quantised(), X)
    assert {name: reason.code for name, reason in graph.kept.items()} == {"codes.weight": ReasonCode.LOOKUP}
    assert set(graph.parameters) == {"a.weight", "a.bias", "out.weight", "out.bias"}


class Predicting(nn.Module):
    def __init__(self, extra: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.extra = nn.Linear(8, 10), extra

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.a(x)
        return scores, self.extra(scores)


@pytest.mark.parametrize(
    "extra",
    [
        lambda s: -(s.softmax(-1) * s.log_softmax(-1)).sum(-1),
        lambda s: -(s.softmax(-1) * s.softmax(-1).log()).sum(-1),
    ],
)
def test_an_entropy_is_no_attention(extra: Callable[[Tensor], Tensor]) -> None:
    graph = trace(Predicting(extra), X)
    assert [node.op for node in graph.nodes] == ["input", "conv", "bias"]
    assert all(spec.head for spec in graph.parameters.values())


class Linear(nn.Module):
    """Attention without a softmax, then positions, two branches and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(4))
        self.position = nn.Parameter(torch.zeros(1, 6, 8))
        self.a, self.b, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        q, k = functional.elu(self.q(x)) + 1, functional.elu(self.k(x)) + 1
        x = x + q @ (k.transpose(1, 2) @ self.v(x))
        x = x + self.position
        return self.out(torch.cat([self.a(x), self.b(x)], -1).mean(1))


def test_products_without_softmax_give_features_again() -> None:
    found = ops(Linear(), torch.zeros(2, 6, 8))
    assert found.count("pos_enc") == 1
    assert {"concat", "glob_avg"} <= set(found)
    assert "msa" not in found


def test_the_state_of_the_process_does_not_matter() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out = nn.ModuleList(nn.Linear(8, 8) for _ in range(2)), nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(random.choice(list(self.a))(x))

    model, kept = Choosing(), []
    for seed in range(6):
        random.seed(seed)
        kept.append(trace(model, X).kept)
    assert all(found == kept[0] for found in kept)
