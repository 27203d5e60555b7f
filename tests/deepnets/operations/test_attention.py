import pytest
import torch
import torch.nn.functional as F

from ghn.deepnets.operations.attention import TransformerLayer
from ghn.deepnets.operations.table import RECORDS
from tests.deepnets.operations.images import images, no_norm


def test_transformer_layer() -> None:
    layer = TransformerLayer(16)
    x = images(3, 2, channels=16)
    tokens = x.permute(0, 2, 3, 1).reshape(2, 6, 16)
    queries, keys, values = layer.attn.to_qkv(layer.ln1(tokens)).chunk(3, dim=-1)
    mixed = torch.zeros(2, 6, 16)
    for head in range(8):
        part = slice(2 * head, 2 * head + 2)
        logits = queries[..., part] @ keys[..., part].transpose(1, 2) / 2**0.5
        mixed[..., part] = logits.softmax(dim=-1) @ values[..., part]
    tokens = tokens + layer.attn.to_out(mixed)
    first, _, second = layer.ff.net
    tokens = tokens + second(F.gelu(first(layer.ln2(tokens))))
    torch.testing.assert_close(layer(x), tokens.reshape(2, 3, 2, 16).permute(0, 3, 1, 2))


def test_it_keeps_the_resolution() -> None:
    with pytest.raises(AssertionError):
        RECORDS["msa"].module(8, 2, no_norm)
