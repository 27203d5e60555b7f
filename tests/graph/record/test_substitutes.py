"""What runs in the places of operators."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ghn.graph.record.op_graph import OpGraph
from ghn.graph.record.recorder import Recorder
from ghn.graph.record.substitutes import OwnRandomNumbers, draws


def attention(heads: int, mask: Tensor | None, causal: bool) -> tuple[OpGraph, Tensor]:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 4, 5, 8, generator=generator)
    key, value = torch.randn(2, 2, heads, 5, 8, generator=generator)
    recorder = Recorder()
    with torch.no_grad(), recorder:
        output = functional.scaled_dot_product_attention(
            query, key, value, mask, is_causal=causal, enable_gqa=heads != 4
        )
    return recorder.graph, output


@pytest.mark.parametrize(
    ("heads", "mask", "causal"),
    [(4, None, False), (4, None, True), (4, torch.ones(5, 5).tril().bool(), False), (2, None, False)],
)
def test_attention_is_unfused_whatever_the_process_prefers(heads: int, mask: Tensor | None, causal: bool) -> None:
    graph, output = attention(heads, mask, causal)
    with sdpa_kernel(SDPBackend.MATH):
        expected, same = attention(heads, mask, causal)
    assert torch.allclose(output, same, atol=1e-6)
    # Some versions of PyTorch arrange the result once more where heads are shared.
    parts = [
        [name for o in found.operations if (name := o.name.removeprefix("_unsafe_")) != "view"]
        for found in (graph, expected)
    ]
    # The second result of the fused operator is made for nobody.
    assert parts[0][: len(parts[1])] == parts[1]
    assert len(parts[0]) <= len(parts[1]) + 1
    assert {"bmm", "_safe_softmax"} <= {*parts[0]}


DRAWING = [
    lambda: torch.rand(3),
    lambda: torch.randn(3),
    lambda: torch.randint(0, 1000, (3,)),
    lambda: torch.randint(5, 1000, (3,)),
    lambda: torch.randperm(50),
    lambda: torch.bernoulli(torch.full((50,), 0.5)),
    lambda: torch.zeros(3).uniform_(),
    lambda: torch.normal(torch.zeros(3), 1.0),
    lambda: torch.multinomial(torch.ones(50), 20),
    lambda: functional.dropout(torch.ones(50)),
    lambda: functional.rrelu(-torch.ones(5), training=True),
    lambda: torch.rand_like(torch.ones(3)),
]


@pytest.mark.parametrize("draw", DRAWING)
def test_drawn_numbers_are_the_same_each_time_and_none_of_the_process(draw: object) -> None:
    assert callable(draw)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.no_grad(), Recorder():
            results.append((draw(), draw()))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(results[0][0], results[1][0])
    assert not torch.equal(results[0][0], results[0][1])


def test_a_generator_of_the_models_own_is_used() -> None:
    generator = torch.Generator().manual_seed(3)
    with Recorder():
        drawn = torch.rand(3, generator=generator)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(3)))


def test_only_what_draws_is_replaced() -> None:
    assert draws(torch.ops.aten.rand.default)
    assert not draws(torch.ops.aten.add.Tensor)
    assert not draws(len)
    with pytest.raises(RuntimeError):
        OwnRandomNumbers().run(torch.ops.aten.rand.default, ([-1],), {})
