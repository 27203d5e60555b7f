"""Runs without numbers that select by value."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.reasons import Reason, ReasonCode
from ghn.graph.record.guesses import NeedsValuesError
from ghn.graph.record.recorder import Recorder
from ghn.graph.trace import trace

FEATURES = torch.zeros(6, 4)


class Applying(nn.Module):
    """Two linear layers with a function in between."""

    def __init__(self, function: Callable[[Tensor], Tensor], width: int = 4) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(width, 4)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.function(self.a(x)))


def _set(x: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    x = x.clone()
    x[mask] = value
    return x


SELECTIONS = {
    "rows by a mask": lambda x: x[x[:, 0] > 0],
    "rows by positions": lambda x: x[torch.where(x.sum(1) > 0)[0]],
    "positions of a matrix": lambda x: x[(x > 0).nonzero()[:, 0]],
    "a mask and a column": lambda x: x[x[:, 0] > 0, :4],
    "a mask behind a slice": lambda x: x.t()[:, x[:, 0] > 0].t(),
    "masked elements": lambda x: torch.masked_select(x, x > 0).view(-1, 4),
    "written rows": lambda x: _set(x, x[:, 0] > 0, torch.ones(4)),
    "written positions": lambda x: _set(x, (x[:, 0] > 0).nonzero()[:, 0], 1.0),
    "repeated rows": lambda x: x.repeat_interleave((x[:, 0] > 0).long() + 1, dim=0),
    "classes one by one": lambda x: torch.cat([x + i for i in x[:, 0].round().unique()]),
    "groups": lambda x: x[torch.unique_consecutive(x[:, 0].round(), return_inverse=True)[1]],
    "distinct rows": lambda x: torch.unique(x, dim=0),
    "counts": lambda x: x * torch.bincount(x.argmax(1), minlength=4),
    "a length": lambda x: x[: int(x[0, 0].abs().long().clamp(1, 3))],
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_selection_by_value_needs_no_values(name: str) -> None:
    model = Applying(SELECTIONS[name])
    graph = trace(model, FEATURES)
    assert graph.traced_by == "guess"
    assert [node.op for node in graph.nodes] == ["input", "conv", "bias", "conv", "bias"]
    assert set(graph.parameters) == set(dict(model.named_parameters()))
    # What was guessed is what a run with numbers can give: the same layers in the same order.
    torch.manual_seed(0)
    assert torch.isfinite(model(torch.randn(6, 4))).all()


def test_without_leave_to_guess_the_operator_is_named() -> None:
    with Recorder(), pytest.raises(NeedsValuesError, match=r"aten\.nonzero"):
        torch.empty(3, device="meta").nonzero()


def test_a_decision_before_the_last_layer_needs_values() -> None:
    model = Applying(lambda x: x.relu() if bool((x > 0).any()) else x)
    assert trace(model, FEATURES).traced_by == "real"


def test_a_decision_after_the_last_layer_does_not() -> None:
    class Late(Applying):
        def forward(self, x: Tensor) -> Tensor:
            x = super().forward(x)
            return x / x.norm() if x.norm() > 1 else x

    assert trace(Late(lambda x: x), FEATURES).traced_by == "guess"


def test_layers_that_only_a_guess_reaches_are_predicted() -> None:
    class Rare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            rows = (x[:, 0] > 1e9).nonzero()[:, 0]
            for row in rows.tolist():
                x = torch.cat([x, self.b(x[row : row + 1])])
            return x / 2 if bool((x > 0).any()) else x

    graph = trace(Rare(), FEATURES)
    assert not graph.kept
    assert set(graph.parameters) == {"a.weight", "a.bias", "b.weight", "b.bias"}


def test_yes_and_no_are_both_tried() -> None:
    class Either(Applying):
        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            return self.b(x) if bool((x > 1e9).all()) else x

    assert not trace(Either(lambda x: x), FEATURES).kept


def test_layers_that_neither_guess_nor_run_reaches_are_explained() -> None:
    class Never(Applying):
        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x)
            return 2 * x if bool((x > 1e9).all()) else x[x[:, 0] < 1e9]

    graph = trace(Never(lambda x: x), FEATURES)
    assert graph.traced_by == "real"
    assert graph.kept == dict.fromkeys(("b.weight", "b.bias"), Reason(ReasonCode.UNUSED))


class Selecting(nn.Module):
    """The scores choose among the features, as in a detector."""

    def __init__(self, choose: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.features, self.scores = nn.Linear(4, 8), nn.Linear(4, 1)
        self.choose = choose

    def forward(self, x: Tensor) -> Tensor:
        return self.choose(self.features(x), self.scores(x)[:, 0])


@pytest.mark.parametrize(
    "choose",
    [
        lambda x, scores: x[scores.topk(2).indices],
        lambda x, scores: x[scores > 0],
        lambda x, scores: torch.where((scores > 0)[:, None], x, 0.0),
        lambda x, scores: x.masked_fill((scores > 0)[:, None], 0.0),
        lambda x, scores: x.gather(1, (scores > 0).long()[:, None]),
        lambda x, scores: (x, scores.argmax()),
    ],
)
def test_what_only_chooses_is_predicted_too(choose: Callable[[Tensor, Tensor], Tensor]) -> None:
    graph = trace(Selecting(choose), FEATURES)
    assert not graph.kept
    assert {node.op for node in graph.nodes} == {"input", "conv", "bias"}
    # The scores lead nowhere in the graph, the features to the output.
    sinks = set(range(len(graph))) - {int(source) for source, _ in graph.edges}
    assert len(sinks) == 2


def test_a_choice_that_nothing_follows_is_unused() -> None:
    class Idle(Selecting):
        def forward(self, x: Tensor) -> Tensor:
            self.scores(x).argmax()
            return self.features(x)

    assert set(trace(Idle(lambda x, scores: x), FEATURES).kept.values()) == {Reason(ReasonCode.UNUSED)}
