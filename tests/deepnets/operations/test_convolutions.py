import pytest
import torch

from ghn.deepnets.operations.convolutions import pointwise
from ghn.deepnets.operations.table import CONVOLUTIONS, RECORDS
from tests.deepnets.operations.images import batch_norm, images, no_norm


@pytest.mark.parametrize("name", sorted(CONVOLUTIONS))
def test_convolutions_rectify_first(name: str) -> None:
    x = images(8, 8)
    operation = RECORDS[name].module(8, 2, no_norm)
    assert operation(x).equal(operation(x.relu()))


def test_pointwise() -> None:
    x = images(3, 2)
    layers = pointwise(8, 4, no_norm)
    (weight,) = layers.parameters()
    torch.testing.assert_close(layers(x), torch.einsum("oi,nihw->nohw", weight[:, :, 0, 0], x.relu()))
    assert [name for name, _ in pointwise(8, 4, batch_norm).named_parameters()] == [
        "op.1.weight",
        "op.2.weight",
        "op.2.bias",
    ]


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
    operation = RECORDS[name].module(8, 1, norm)  # type: ignore[arg-type]
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
    shapes = [tuple(parameter.shape) for parameter in RECORDS[name].module(8, 1, no_norm).parameters()]
    assert shapes == kernels


@pytest.mark.parametrize(("name", "reach"), [("dil_conv_3x3", 2), ("dil_conv_5x5", 4), ("conv_7x7", 3)])
def test_reach(name: str, reach: int) -> None:
    """Which neighbours a pixel is computed from."""
    x = torch.ones(1, 8, 11, 11, requires_grad=True)
    RECORDS[name].module(8, 1, no_norm)(x)[0, :, 5, 5].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten().tolist()
    step = 2 if name.startswith("dil") else 1
    assert rows == list(range(5 - reach, 6 + reach, step))
