"""Decoding straight into tensors: in parts, all or nothing, and from any decoders, not only a hypernetwork's."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ghn.hypernet import GHN, GHNConfig
from ghn.hypernet.mlp import linear_layer
from ghn.hypernet.plan import KernelGroup, Plan, VectorGroup
from ghn.hypernet.write import Writer, check_destinations
from tests.hypernet.accuracy import assert_owed_accuracy
from tests.hypernet.graphs import CLASSES, awkward_graph


def test_written_in_parts(hypernet: GHN, monkeypatch: pytest.MonkeyPatch) -> None:
    # Large groups are decoded in chunks, very large results are decoded twice instead of held.
    graph = awkward_graph()
    whole, parts = ({name: torch.empty(spec.shape) for name, spec in graph.parameters.items()} for _ in range(2))
    norm = hypernet.decode_into(graph, whole, head="predict").total_norm
    monkeypatch.setattr("ghn.hypernet.write.CHUNK_ELEMENTS", 100)
    monkeypatch.setattr("ghn.hypernet.write.HELD_ELEMENTS", 100)
    assert hypernet.decode_into(graph, parts, head="predict").total_norm == pytest.approx(norm, rel=1e-6)
    for name, tensor in whole.items():
        assert_owed_accuracy(parts[name], tensor)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    ("part", "match"),
    [
        ("decoder.conv.2.weight", r"prediction for linear.* is not finite"),
        ("decoder_1d.fc.2.bias", "prediction for norm weight is not finite"),
        ("bias_class.1.bias", "prediction for head bias is not finite"),
        ("decoder.class_layer_predictor.1.bias", "prediction for head weight is not finite"),
    ],
)
def test_damaged_weights_write_nothing(
    hypernet: GHN, part: str, match: str, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not held:
        monkeypatch.setattr("ghn.hypernet.write.HELD_ELEMENTS", 0)
    graph = awkward_graph()
    tensors = {name: torch.full(spec.shape, 7.0) for name, spec in graph.parameters.items()}
    with torch.no_grad():
        hypernet.get_parameter(part).fill_(math.nan)
    with pytest.raises(ValueError, match=match):
        hypernet.decode_into(graph, tensors)
    assert all((tensor == 7).all() for tensor in tensors.values())


def test_values_beyond_a_type_write_nothing(hypernet: GHN) -> None:
    graph = awkward_graph(["linear", "bias"])
    with torch.no_grad():
        linear_layer(hypernet.decoder.conv, 2).bias.fill_(1e6)
    half = {name: torch.zeros(spec.shape, dtype=torch.float16) for name, spec in graph.parameters.items()}
    with pytest.raises(ValueError, match=r"prediction for linear .* out of its type's range"):
        hypernet.decode_into(graph, half)
    assert not any(tensor.any() for tensor in half.values())
    # A norm out of range is no reason if the values are not.
    tensors = {name: torch.zeros(spec.shape) for name, spec in graph.parameters.items()}
    with torch.no_grad():
        linear_layer(hypernet.decoder.conv, 2).bias.fill_(1e25)
    hypernet.decode_into(graph, tensors)
    assert all(tensor.any() for tensor in tensors.values())


@pytest.mark.parametrize(
    ("destinations", "match"),
    [
        ({"linear": torch.empty(30, 20)}, r"'linear' has shape \(30, 20\), not \(20, 30\)"),
        ({"lineal": torch.empty(20, 30)}, "'lineal' is no predictable parameter"),
        ({"linear": torch.empty(20, 30, dtype=torch.int8)}, "is of type int8, which is not predicted"),
        ({"linear": torch.empty(20, 30, dtype=torch.complex64)}, "is of type complex64, which is not predicted"),
        ({"linear": torch.empty(20, 30, device="meta")}, "meta device"),
        ({"linear": torch.empty(20, 1).expand(20, 30)}, "expanded tensor"),
        ([{}, {}], "1 graphs need as many dicts of destinations, not 2"),
    ],
)
def test_destinations_that_do_not_fit(hypernet: GHN, destinations: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        hypernet.decode_into(awkward_graph(["linear"]), destinations)


class Constants:
    """Decoders whose kernels are 1, 2, 3, … times a ramp of channels, and whose vectors count up."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def kernel_features(self, states_ND: Tensor, groups: Sequence[KernelGroup]) -> list[Tensor]:
        return [states_ND[torch.from_numpy(group.rows)].expand(group.crop.area, -1, -1) for group in groups]

    def decode_kernels(self, features_AnK: Sequence[Tensor], groups: Sequence[KernelGroup]) -> list[Tensor]:
        self.decoded.append(sum(len(group.members) for group in groups))
        cores_noihw = []
        for feature_AnK, group in zip(features_AnK, groups, strict=True):
            crop = group.crop
            ramp_oi = torch.arange(float(crop.out * crop.inputs)).view(crop.out, crop.inputs)
            core_noi = feature_AnK[0, :, :1, None] * ramp_oi
            cores_noihw.append(core_noi[..., None, None].expand(-1, -1, -1, crop.height, crop.width))
        return cores_noihw

    def decode_vectors(self, states_ND: Tensor, group: VectorGroup) -> Tensor:
        return torch.arange(float(sum(group.sizes)))


def writer_for(names: list[str], decoders: Constants, *destinations: dict[str, Tensor]) -> Writer:
    """For as many graphs of these parameters as there are destinations."""
    graph = awkward_graph(names)
    config = GHNConfig(hidden=16, heads=2, num_classes=CLASSES, max_channels=8, spatial=11)
    count = len(destinations)
    plan = Plan.of([graph.parameters] * count, [len(graph)] * count, config)
    states_ND = torch.arange(float(len(graph)))[:, None].expand(-1, 16).repeat(count, 1)
    return Writer(decoders, states_ND, plan, destinations)


@pytest.mark.parametrize("held", [True, False])
def test_it_writes_what_the_decoders_give_to_its_place(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not held:
        monkeypatch.setattr("ghn.hypernet.write.HELD_ELEMENTS", 0)
    names = ["linear", "linear stored as (in, out)", "bias", "norm bias"]
    shapes = {"linear": (20, 30), "linear stored as (in, out)": (30, 11), "bias": (5,), "norm bias": (37,)}
    destinations = {name: torch.full(shapes[name], math.nan) for name in names}
    decoders = Constants()
    writer = writer_for(names, decoders, destinations)
    (norm,) = writer.check()
    assert all(tensor.isnan().all() for tensor in destinations.values())
    writer.write(seed=0)
    assert sum(decoders.decoded) == (2 if held else 4)
    ramp = torch.arange(64.0).view(8, 8)
    expected = {
        "linear": ramp.repeat(3, 4)[:20, :30],
        "linear stored as (in, out)": 2 * ramp.repeat(2, 4)[:11, :30].t(),
        "bias": torch.arange(5.0),
        "norm bias": torch.arange(5.0, 42.0),
    }
    for name, tensor in expected.items():
        assert torch.equal(destinations[name], tensor), name
    assert norm == pytest.approx(math.sqrt(sum(float(tensor.square().sum()) for tensor in expected.values())))


def test_only_the_destination_that_is_too_narrow_is_named() -> None:
    destinations = {"linear": torch.zeros(20, 30), "linear smaller than the decoder": torch.zeros(3, 5).half()}
    writer_for(list(destinations), Constants(), destinations).check()
    wide = dict(destinations, linear=torch.zeros(20, 30).half())

    class Large(Constants):
        def decode_kernels(self, features_AnK: Sequence[Tensor], groups: Sequence[KernelGroup]) -> list[Tensor]:
            cores_noihw = super().decode_kernels(features_AnK, groups)
            return [core * 5e3 if group.crop.out == 8 else core for core, group in zip(cores_noihw, groups)]

    writer_for(list(destinations), Large(), destinations).check()
    with pytest.raises(
        ValueError, match=r"prediction for linear \(3\.15e\+05\) is out of its type's range \(±6\.55e\+04\)"
    ):
        writer_for(list(destinations), Large(), wide).check()


def test_overlapping_strides_are_refused_but_single_elements_are_not() -> None:
    specs = awkward_graph(["linear of one channel"]).parameters
    check_destinations([specs], [{"linear of one channel": torch.zeros(1).as_strided((1, 1), (0, 0))}])
    check_destinations([], [])


def test_one_narrow_destination_among_equal_shapes_is_enough() -> None:
    wide, narrow = {"linear": torch.zeros(20, 30)}, {"linear": torch.zeros(20, 30).half()}

    class Large(Constants):
        def decode_kernels(self, features_AnK: Sequence[Tensor], groups: Sequence[KernelGroup]) -> list[Tensor]:
            return [core * 5e3 for core in super().decode_kernels(features_AnK, groups)]

    writer_for(["linear"], Large(), wide, wide).check()
    with pytest.raises(ValueError, match="out of its type's range"):
        writer_for(["linear"], Large(), wide, narrow).check()
