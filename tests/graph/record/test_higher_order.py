"""Operators that take functions: what these run is recorded, whichever branch numbers would choose."""

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.map import map as mapped
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from ghn.graph.reasons import ReasonCode
from ghn.graph.trace import trace
from tests.graph.graphs import Lambda, edges

X = torch.zeros(4, 8)
SEQUENCE = torch.zeros(4, 6, 8)


def linear(inputs: int = 8, outputs: int = 8) -> nn.Linear:
    return nn.Linear(inputs, outputs)


def test_both_branches_of_a_condition_feed_what_follows() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.out(torch.cond(x.sum() > 0, self.yes, lambda x: self.no(x), (x,)))

    graph = trace(Lambda(forward, yes=linear(), no=linear(), out=linear()), X)
    assert not graph.kept
    assert {("yes.bias", "out.weight"), ("no.bias", "out.weight"), ("input", "no.weight")} <= edges(graph)


def test_a_condition_that_is_known_has_one_branch() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return torch.cond(x.shape[0] > 2, lambda x: self.yes(x), lambda x: self.no(x), (x,))

    assert set(trace(Lambda(forward, yes=linear(), no=linear()), X).parameters) == {"yes.weight", "yes.bias"}


def loops(self: Any, x: Tensor) -> Tensor:
    start = torch.zeros((), dtype=torch.long, device=x.device)
    return self.out(while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, self.a(x).relu()), (start, x))[1])


def scans(self: Any, x: Tensor) -> Tensor:
    def step(carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.tanh(self.a(x) + carry)
        return state, state.clone()

    return self.out(scan(step, x.new_zeros(4, 8), x.transpose(0, 1), dim=0)[1].mean(0))


def combines(self: Any, x: Tensor) -> Tensor:
    return self.out(associative_scan(lambda a, b: a + b, self.a(x), 1, combine_mode="generic"))


def maps(self: Any, x: Tensor) -> Tensor:
    map_over: Any = mapped
    return self.out(map_over(lambda row, added: self.a(row) + added, x, x[0]))


@pytest.mark.parametrize(
    ("forward", "x"),
    [
        (loops, X),
        (scans, SEQUENCE),
        pytest.param(
            combines,
            SEQUENCE,
            marks=pytest.mark.skipif(
                torch.__version__.startswith("2.6."), reason="calls itself where nothing is compiled"
            ),
        ),
        (maps, SEQUENCE),
    ],
)
def test_what_is_repeated_is_a_node_once(forward: Any, x: Tensor) -> None:
    graph = trace(Lambda(forward, a=linear(), out=linear(8, 3)), x)
    counts = Counter(node.op for node in graph.nodes)
    assert (counts["conv"], counts["bias"]) == (2, 2)
    assert set(graph.parameters) == {"a.weight", "a.bias", "out.weight", "out.bias"}
    assert graph.traced_by == "meta"


class Attention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.qkv, self.out = linear(16, 48), linear(16, 16)
        self.table = nn.Parameter(torch.zeros(2, 31))
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        options = dict(self.options)
        if options.pop("learned", False):
            options["score_mod"] = lambda score, b, h, i, j: score + self.table[h, i - j + 15]
        if options.pop("causal", False):
            options["block_mask"] = create_block_mask(lambda b, h, i, j: i >= j, None, None, 16, 16, device=x.device)
        y = flex_attention(q, k, v, **options)
        y = y[0] if isinstance(y, tuple) else y
        return x + self.out(y.transpose(1, 2).flatten(2))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, ReasonCode.UNUSED),
        ({"score_mod": lambda score, b, h, i, j: score + (i - j)}, ReasonCode.UNUSED),
        ({"learned": True}, ReasonCode.SCORE_BIAS),
        ({"causal": True}, ReasonCode.UNUSED),
        ({"return_lse": True}, ReasonCode.UNUSED),
    ],
)
def test_flex_attention_is_attention(options: dict[str, Any], reason: ReasonCode) -> None:
    graph = trace(Attention(**options), torch.zeros(2, 16, 16))
    counts = Counter(node.op for node in graph.nodes)
    assert counts == {"input": 1, "conv": 2, "bias": 2, "msa": 1, "sum": 1}
    assert {("qkv.bias", "msa"), ("msa", "out.weight")} <= edges(graph)
    assert graph.kept["table"].code is reason


PROGRAM = """
import sys, torch
from torch import nn
from ghn.graph.trace import trace
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.yes, self.no = nn.Linear(8, 8), nn.Linear(8, 8)
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.yes(x), lambda x: self.no(x), (x,))
assert "torch._dynamo" not in sys.modules
assert len(trace(Net(), torch.zeros(2, 8)).parameters) == 4
assert "torch._dynamo" in sys.modules
"""


@pytest.mark.slow
def test_the_compiler_may_be_loaded_meanwhile() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=300)
