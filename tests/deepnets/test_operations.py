import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.deepnets.genotype import OPERATIONS
from ghn.deepnets.operations import BatchNorm2d, ChannelGate, FactorizedReduction, TransformerLayer, make_operation

SHAPES = [(8, 8), (7, 9), (1, 1)]


def batch_norm(channels: int) -> nn.Module:
    return BatchNorm2d(channels, track_running_stats=False)


def no_norm(channels: int) -> None:
    return None


def images(height: int, width: int, channels: int = 8) -> Tensor:
    return torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))


STRIDES = [
    (name, stride) for name in OPERATIONS for stride in (1, 2) if name != "none" and (name, stride) != ("msa", 2)
]


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize(("name", "stride"), STRIDES)
def test_resolution(name: str, stride: int, size: tuple[int, int]) -> None:
    x = images(*size)
    before = x.clone()
    result = make_operation(name, 8, stride, batch_norm)(x)
    assert result.shape == (2, 8, -(-size[0] // stride), -(-size[1] // stride))
    assert result.isfinite().all()
    assert x.equal(before)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("none", "msa", "cse")])
def test_convolutions_rectify_first(name: str) -> None:
    x = images(8, 8)
    operation = make_operation(name, 8, 2, no_norm)
    rectified = operation(x.relu())
    if name.endswith("pool_3x3"):
        assert not operation(x).equal(rectified)
    else:
        assert operation(x).equal(rectified)


@pytest.mark.parametrize("size", SHAPES)
def test_factorized_reduction(size: tuple[int, int]) -> None:
    x = images(*size)
    reduction = FactorizedReduction(8, 4, no_norm)
    padded = F.pad(x.relu(), (0, 1, 0, 1))
    expected = torch.zeros(2, 4, -(-size[0] // 2), -(-size[1] // 2))
    for row in range(expected.shape[2]):
        for column in range(expected.shape[3]):
            expected[:, :2, row, column] = padded[:, :, 2 * row, 2 * column] @ reduction.conv_1.weight[:, :, 0, 0].T
            expected[:, 2:, row, column] = (
                padded[:, :, 2 * row + 1, 2 * column + 1] @ reduction.conv_2.weight[:, :, 0, 0].T
            )
    torch.testing.assert_close(reduction(x), expected)


def test_average_pooling_leaves_padding_out() -> None:
    pooled = make_operation("avg_pool_3x3", 8, 1, no_norm)(torch.ones(1, 8, 4, 4))
    assert pooled.equal(torch.ones(1, 8, 4, 4))


@pytest.mark.parametrize("stride", [1, 2])
def test_gate(stride: int) -> None:
    x = images(5, 6)
    gate = ChannelGate(8, stride)
    result = gate(x)
    for image in range(2):
        squeezed = torch.stack([x[image, channel].sum() / 30 for channel in range(8)])
        excited = gate.fc2(gate.fc1(squeezed).clamp(min=0))
        excited = excited * (excited + 3).clamp(0, 6) / 6
        expected = torch.stack([x[image, channel] * excited[channel] for channel in range(8)])
        torch.testing.assert_close(result[image], expected[:, ::stride, ::stride])


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


@pytest.mark.parametrize(
    ("name", "norm", "expected"),
    [
        ("sep_conv_3x3", batch_norm, ["1", "2", "3", "5", "6", "7"]),
        ("sep_conv_3x3", no_norm, ["1", "2", "5", "6"]),
        ("dil_conv_5x5", batch_norm, ["1", "2", "3"]),
        ("conv_7x1_1x7", no_norm, ["1", "2"]),
        ("conv_1x1", batch_norm, ["1", "2"]),
    ],
)
def test_published_places(name: str, norm: object, expected: list[str]) -> None:
    operation = make_operation(name, 8, 1, norm)  # type: ignore[arg-type]
    assert list(dict.fromkeys(key.split(".")[1] for key, _ in operation.named_parameters())) == expected


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("sep_conv_5x5", [(8, 1, 5, 5), (8, 8, 1, 1)] * 2),
        ("dil_conv_3x3", [(8, 1, 3, 3), (8, 8, 1, 1)]),
        ("conv_7x1_1x7", [(8, 8, 1, 7), (8, 8, 7, 1)]),
        ("conv_7x7", [(8, 8, 7, 7)]),
    ],
)
def test_kernels(name: str, kernels: list[tuple[int, ...]]) -> None:
    shapes = [tuple(parameter.shape) for parameter in make_operation(name, 8, 1, no_norm).parameters()]
    assert shapes == kernels


@pytest.mark.parametrize(("name", "reach"), [("dil_conv_3x3", 2), ("dil_conv_5x5", 4), ("conv_7x7", 3)])
def test_reach(name: str, reach: int) -> None:
    """Which neighbours a pixel is computed from."""
    x = torch.ones(1, 8, 11, 11, requires_grad=True)
    make_operation(name, 8, 1, no_norm)(x)[0, :, 5, 5].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten().tolist()
    step = 2 if name.startswith("dil") else 1
    assert rows == list(range(5 - reach, 6 + reach, step))
