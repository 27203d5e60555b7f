"""What a forward pass shows whose layers give their own numbers."""

from __future__ import annotations

import torch
from torch import nn

from ghn.initializers.attention.probe import Code, Probe
from tests.initializers.attention.networks import Attention, D, K, N


def weights(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.dim() > 1 and name != "positions"}


@torch.no_grad()
def passed(model: nn.Module, code: Code) -> Probe:
    with Probe(weights(model), code) as probe:
        model(torch.randn(3, N, D))
    return probe


def test_features_are_numbers_of_channels_and_layers() -> None:
    model = Attention("manual")
    channels, layers = passed(model, Code.CHANNEL), passed(model, Code.LAYER)
    assert [use.name for use in layers.uses] == ["k.weight", "q.weight", "v.weight", "out.weight", "head.weight"]
    ((found,), (numbers,)) = channels.attentions, layers.attentions
    assert found.query is not None
    assert found.value is not None
    assert numbers.value is not None
    assert found.query.shape == (6, K)
    torch.testing.assert_close(found.query[0], torch.arange(1, K + 1) * K**-0.5)
    torch.testing.assert_close(found.value[:2].flatten(), torch.arange(1, D + 1.0))
    assert numbers.value.unique().tolist() == [3]
    assert found.following == [3, 4]
    taken = channels.uses[3].inputs
    assert taken is not None
    torch.testing.assert_close(taken, torch.arange(1, D + 1.0))


def test_matrices_are_the_parameters_memory() -> None:
    model = Attention("convolution")
    probe = passed(model, Code.ONE)
    assert probe.uses[0].matrix is not None
    assert probe.uses[0].matrix.shape == (D, 3 * D)
    with torch.no_grad():
        probe.uses[0].matrix.zero_()
    assert not model.qkv.weight.any()


def test_kernels_have_no_numbers() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1, groups=2))
    for code, expected in ((Code.ONE, 1), (Code.CHANNEL, 0), (Code.LAYER, 0)):
        with torch.no_grad(), Probe(weights(model), code) as probe:
            output = model(torch.randn(2, 3, 5, 5))
        assert [use.matrix for use in probe.uses] == [None, None]
        assert output.unique().tolist() == [expected]


def test_the_same_features_have_the_same_source() -> None:
    model = Attention("other features")
    sources = [use.source for use in passed(model, Code.ONE).uses[:3]]
    assert sources[1] == sources[2] != sources[0]
