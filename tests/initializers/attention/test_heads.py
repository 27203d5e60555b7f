"""Queries, keys and values of each head, of models of libraries."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ghn.graph.run.arguments import Inputs
from ghn.initializers.attention.heads import SelfAttention, attentions_of
from ghn.initializers.layers import layers_of


def found_in(model: nn.Module, given: Inputs) -> list[SelfAttention]:
    torch.manual_seed(0)
    batch = [(given.args[0], torch.zeros(2, dtype=torch.int64))] if given.args else None
    return attentions_of(model, layers_of(model, batch), given)


def columns(attention: SelfAttention, part: int) -> list[list[int]]:
    return [head[part].columns.tolist() for head in attention.heads]


def test_a_transformer_of_pytorch() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.5)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    first, second = found_in(model, Inputs((torch.randn(2, 5, 8),)))
    assert first.names == ("layers.0.self_attn.in_proj_weight",)
    assert columns(first, 0) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert columns(first, 1) == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert first.value is not None
    assert first.value.columns.tolist() == list(range(16, 24))
    assert second.output is not None
    assert second.output[0] == "layers.1.self_attn.out_proj.weight"
    assert first.reasons == ()


def test_a_decoder_attends_to_itself_and_to_other_features() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
            self.memory = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x, self.memory(x))  # type: ignore[no-any-return]

    itself, other = found_in(Both(), Inputs((torch.randn(2, 5, 8),)))
    assert len(itself.heads) == 2
    assert other.heads == ()
    assert other.reasons == ("queries and keys are of different features",)
    assert other.output is not None


def test_transposed_weights_of_a_language_model() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_embd=16, n_head=2, n_layer=1, vocab_size=20, n_positions=8)
    model = transformers.GPT2LMHeadModel(config)
    (attention,) = attentions_of(model, layers_of(model), Inputs((torch.zeros(2, 6, dtype=torch.int64),)))
    assert attention.names == ("transformer.h.0.attn.c_attn.weight",)
    assert columns(attention, 1) == [list(range(16, 24)), list(range(24, 32))]
    query = attention.heads[0][0]
    assert query.matrix.data_ptr() == model.transformer.h[0].attn.c_attn.weight.data_ptr()
    assert attention.output is not None


def test_grouped_queries_are_told() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=16,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=1,
        intermediate_size=8,
        vocab_size=20,
    )
    model = transformers.LlamaForCausalLM(config)
    (attention,) = attentions_of(model, layers_of(model), Inputs((torch.zeros(2, 6, dtype=torch.int64),)))
    assert attention.heads == ()
    assert attention.value is None
    assert attention.reasons[0] == "more is done to queries or keys than to project them"


def test_attention_over_channels_is_told() -> None:
    class OverChannels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            shares = (q.transpose(1, 2) @ k).softmax(-1)
            return self.out((shares @ v.transpose(1, 2)).transpose(1, 2))  # type: ignore[no-any-return]

    (attention,) = found_in(OverChannels(), Inputs((torch.randn(2, 5, 8),)))
    assert attention.heads == ()
    assert attention.value is None


def test_no_attention() -> None:
    assert found_in(nn.Sequential(nn.Linear(8, 8), nn.Softmax(-1)), Inputs((torch.randn(2, 8),))) == []
