import pytest
import torch
import torch.nn.functional as F

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.operations.pooling import FactorizedReduction
from ghn.deepnets.operations.table import RECORDS
from tests.deepnets.operations.images import SIZES, images, no_norm


def test_nothing() -> None:
    record, builder = RECORDS["none"], GraphBuilder(has_norm=True)
    assert record.nodes(builder, "cells.0._ops.0", 0, 8, 1) is None
    assert len(builder.nodes) == 1
    assert not builder.kept
    assert (record.parameters(8, 2, True), record.multiply_adds(8, 2, 8)) == (0, 0)
    with pytest.raises(AssertionError, match="leave out"):
        record.module(8, 1, no_norm)


@pytest.mark.parametrize("name", ["max_pool_3x3", "avg_pool_3x3"])
@pytest.mark.parametrize("stride", [1, 2])
def test_pooling(name: str, stride: int) -> None:
    """Of negative values too, and never of the padding."""
    x = images(5, 4) - 10
    expected = torch.empty(2, 8, -(-5 // stride), -(-4 // stride))
    for row in range(expected.shape[2]):
        for column in range(expected.shape[3]):
            top, left = stride * row, stride * column
            window = x[:, :, max(0, top - 1) : top + 2, max(0, left - 1) : left + 2].flatten(2)
            expected[:, :, row, column] = window.amax(2) if name == "max_pool_3x3" else window.mean(2)
    torch.testing.assert_close(RECORDS[name].module(8, stride, no_norm)(x), expected)


def test_skip() -> None:
    x = images(8, 8)
    assert RECORDS["skip_connect"].module(8, 1, no_norm)(x).equal(x)
    halving = RECORDS["skip_connect"].module(8, 2, no_norm)
    assert halving(x).equal(halving(x.relu()))


@pytest.mark.parametrize("size", SIZES)
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
