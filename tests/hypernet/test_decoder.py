"""The decoders: a crop must be what the full tensor holds there."""

import pytest
import torch
from torch import Tensor

from ghn.hypernet import GHN
from ghn.hypernet.decoder import ConvDecoder
from ghn.hypernet.mlp import linear_layer
from ghn.hypernet.sliced_linear import Crop
from tests.hypernet.conftest import small_hypernet
from tests.hypernet.definition import decode_square
from tests.hypernet.recorder import largest_allocation

CROPS = [
    Crop(out=8, inputs=8, height=3, width=3),
    Crop(out=8, inputs=8, height=1, width=1),
    Crop(out=8, inputs=1, height=5, width=5),
    Crop(out=1, inputs=8, height=4, width=1),
    Crop(out=5, inputs=7, height=3, width=3),
    Crop(out=1, inputs=1, height=11, width=11),
    Crop(out=2, inputs=3, height=10, width=2),
]
COUNTS = [2, 5, 1, 1, 3, 1, 2]


def states_of(counts: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, 16, generator=generator) for count in counts]


def decode(hypernet: GHN, states: list[Tensor], crops: list[Crop]) -> list[Tensor]:
    scales = [torch.arange(1.0, len(state) + 1) for state in states]
    return hypernet.decoder.cores(hypernet.decoder.features(states, crops), crops, scales)


def decode_fully(hypernet: GHN, states: list[Tensor], crops: list[Crop]) -> list[Tensor]:
    """Decode the whole square of each node, then cut."""
    results = []
    for state, crop in zip(states, crops, strict=True):
        top, left = 0, 0
        if hypernet.config.centered_crop:
            top, left = 5 - crop.height // 2, 5 - crop.width // 2
        rows, columns = slice(top, top + crop.height), slice(left, left + crop.width)
        cut = [decode_square(hypernet, row)[: crop.out, : crop.inputs, rows, columns] for row in state]
        results.append(torch.stack([(index + 1) * core for index, core in enumerate(cut)]))
    return results


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("centered", [True, False])
def test_crops_are_cut_from_the_full_tensor(centered: bool, grad: bool) -> None:
    hypernet = small_hypernet(centered_crop=centered)
    states = states_of(COUNTS)
    with torch.set_grad_enabled(grad):
        cores = decode(hypernet, states, CROPS)
        for crop, core, expected in zip(CROPS, cores, decode_fully(hypernet, states, CROPS), strict=True):
            assert core.shape[1:] == (crop.out, crop.inputs, crop.height, crop.width)
            torch.testing.assert_close(core, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("centered", [True, False])
def test_gradients_are_those_of_the_full_tensor(centered: bool) -> None:
    hypernet = small_hypernet(centered_crop=centered)
    states = [state.requires_grad_() for state in states_of(COUNTS)]
    leaves = [*hypernet.decoder.fc.parameters(), *hypernet.decoder.conv.parameters(), *states]

    def gradients(cores: list[Tensor]) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(1)
        loss = torch.stack([(core * torch.randn(core.shape, generator=generator)).sum() for core in cores]).sum()
        return torch.autograd.grad(loss, leaves)

    actual, expected = gradients(decode(hypernet, states, CROPS)), gradients(decode_fully(hypernet, states, CROPS))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_nothing_outside_the_crop_is_computed() -> None:
    hypernet = small_hypernet(max_channels=64)
    crops = [Crop(out=2, inputs=3, height=3, width=3)]
    states = states_of([4])
    # The largest tensor is the hidden layer: positions times 8 D; no weight is copied.
    assert largest_allocation(lambda: decode(hypernet, states, crops)) <= 4 * 9 * 8 * 16


def test_head_works_on_the_output_channels(hypernet: GHN) -> None:
    core = torch.randn(2, 8, 5, 1, 1)
    linear = linear_layer(hypernet.decoder.class_layer_predictor, 1)
    expected = torch.einsum("co,noi->nci", linear.weight, core[..., 0, 0].relu()) + linear.bias[:, None]
    torch.testing.assert_close(hypernet.decoder.head(core)[..., 0, 0], expected)


@pytest.mark.parametrize("row", [0, 1])
def test_vector_rows(hypernet: GHN, row: int) -> None:
    states = states_of([3])[0]
    expected = hypernet.decoder_1d.fc(states).view(3, 2, 8)[:, row]
    torch.testing.assert_close(hypernet.decoder_1d(states, row), expected)


@pytest.mark.parametrize("spatial", [5, 11, 12, 16])
def test_centred_windows_stand_on_the_middle_of_the_square(spatial: int) -> None:
    """Of two middles, the later: there the window's own middle lies, which of two is the later as well."""
    with torch.device("meta"):
        decoder = ConvDecoder(4, 2, spatial, 10, True)
    for side in range(1, spatial + 1):
        rows, columns = decoder.window(side, 1)
        assert rows.stop - rows.start == side
        assert rows.start + side // 2 == columns.start == spatial // 2
        assert 0 <= rows.start < rows.stop <= spatial
        assert decoder.window(1, side) == (columns, rows)
