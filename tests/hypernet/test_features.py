"""The shape encoder's rows."""

import copy

import numpy as np
import pytest
import torch

from ghn.hypernet.features import Rows, ShapeEncoder, channel_values, nearest_rows, spatial_values


def slow_row(values: list[int], size: int, exceptions: dict[int, int]) -> int:
    """The row by definition: the lowest of the nearest."""
    if size in exceptions and size not in values:
        return values.index(exceptions[size])
    return min(range(len(values)), key=lambda row: (abs(values[row] - size), row))


@pytest.mark.parametrize(("num_classes", "rows"), [(1000, 392), (10, 392), (8, 391)])
def test_channel_rows_by_definition(num_classes: int, rows: int) -> None:
    values = channel_values(num_classes)
    assert len(values) + 1 == rows
    exceptions = dict.fromkeys((4, 5, 6, 7), 8)
    table = nearest_rows(values, exceptions)
    assert table[0] == len(values)
    sizes = [*range(1, 200), 999, 1000, 1001, 4080, 4087, 4088, 4089, 4111, 4112, 4113, 8175, 8176, 8177, 8192]
    assert [table[size] for size in sizes] == [slow_row(values, size, exceptions) for size in sizes]


@pytest.mark.parametrize(("spatial", "rows"), [(16, 11), (11, 9)])
def test_spatial_rows_by_definition(spatial: int, rows: int) -> None:
    values = spatial_values(spatial)
    assert len(values) + 1 == rows
    table = nearest_rows(values, {2: 3})
    assert [table[size] for size in range(1, 17)] == [slow_row(values, size, {2: 3}) for size in range(1, 17)]
    assert values[table[2]] == 3
    assert values[table[12]] == 11


def test_four_look_ups_side_by_side() -> None:
    encoder = ShapeEncoder(hidden=8, num_classes=1000, spatial=16)
    shapes = torch.tensor([[64, 3, 7, 1], [20000, 6, 30, 2], [0, 0, 0, 0]])
    channels, kernels = channel_values(1000), spatial_values(16)
    expected = [
        (channels.index(64), channels.index(3), kernels.index(7), kernels.index(1)),
        (channels.index(8192), channels.index(8), kernels.index(16), kernels.index(3)),
        (len(channels), len(channels), len(kernels), len(kernels)),
    ]
    for row, (out, inputs, height, width) in zip(encoder(shapes), expected, strict=True):
        look_ups = [encoder.embed_channel.weight[index] for index in (out, inputs)]
        look_ups += [encoder.embed_spatial.weight[index] for index in (height, width)]
        assert torch.equal(row, torch.cat(look_ups))


def test_rows_go_where_they_are_asked_for() -> None:
    rows = Rows(np.array([5, 3, 4]))
    with torch.inference_mode():
        assert rows.of(torch.tensor([[1, 9]])).tolist() == [[3, 4]]
    assert rows.of(torch.tensor([0, 1], device="meta")).is_meta
    assert copy.deepcopy(rows).of(torch.tensor([2])).tolist() == [4]
    assert not rows.of(torch.tensor([0])).is_inference()


def test_neither_the_default_device_nor_emptying_changes_constants() -> None:
    expected = ShapeEncoder(hidden=8, num_classes=10, spatial=11)
    with torch.device("meta"):
        encoder = ShapeEncoder(hidden=8, num_classes=10, spatial=11)
    encoder.to_empty(device="cpu").load_state_dict(expected.state_dict())
    shapes = torch.tensor([[64, 3, 7, 1], [0, 0, 0, 0]])
    with torch.device("meta"):
        found = encoder(shapes)
    assert torch.equal(found, expected(shapes))
