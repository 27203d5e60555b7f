"""What a hypernetwork does not predict of a model, and why."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

from ghn.graph import ComputationalGraph, Node, ParameterSpec, Role
from ghn.graph.reasons import Reason, ReasonCode
from ghn.hypernet import GHNConfig
from ghn.hypernet.keep import classes_of, reason_not_to_write, reason_to_keep, reasons_to_keep
from tests.kinds import KEPT, WRITTEN, Packed

CONFIG = GHNConfig(hidden=16, heads=2, num_classes=10, max_channels=8, spatial=11)


def weight(*shape: int, **options: Any) -> ParameterSpec:
    return ParameterSpec(name="w", node=1, shape=shape, role=Role.WEIGHT, **options)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (weight(10, 4, head=True), None),
        (weight(11, 4, head=True), ReasonCode.OTHER_HEAD),
        (weight(11, 4), None),
        (weight(4, 10, head=True, axes=(1, 0)), None),
        (weight(10, 4, head=True, axes=(1, 0)), ReasonCode.OTHER_HEAD),
        (weight(2, 5, 4, head=True, stack=1), None),
        (weight(10, 5, 4, head=True, stack=1), ReasonCode.OTHER_HEAD),
        # Nothing to predict comes first.
        (weight(11, 0, head=True), ReasonCode.NO_ELEMENTS),
        (weight(0), ReasonCode.NO_ELEMENTS),
    ],
)
def test_heads_and_empty_parameters(spec: ParameterSpec, code: ReasonCode | None) -> None:
    reason = reason_to_keep(spec, CONFIG, "keep")
    assert (None if reason is None else reason.code) is code
    other = reason_to_keep(spec, CONFIG, "predict")
    assert (other is None) == (0 not in spec.shape), "asked for, a head is like any other weight"


def test_sentence_names_both_numbers_of_classes() -> None:
    text = "classification head of 50 classes; the hypernetwork predicts 10"
    assert reason_to_keep(weight(10, 5, 4, head=True, stack=1), CONFIG, "keep") == text
    assert classes_of(weight(10, 5, 4, stack=1)) == 50


def test_reasons_of_a_model_in_its_order() -> None:
    integers = nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False)
    parameters: dict[str, Any] = {
        "unknown": nn.Parameter(torch.zeros(1)),
        "lazy": nn.parameter.UninitializedParameter(),
        "w": nn.Parameter(torch.zeros(2, 2)),
        "kept": nn.Parameter(torch.zeros(3)),
        "integers": integers,
    }
    specs = {name: ParameterSpec(name=name, node=1, shape=(2,), role=Role.BIAS) for name in ("w", "lazy", "integers")}
    nodes = (Node("input"), Node("bias"))
    graph = ComputationalGraph(nodes, np.array([[0, 1]]), specs, {"kept": Reason(ReasonCode.SCALE)})
    assert reasons_to_keep(parameters, graph, CONFIG, "keep") == {
        "unknown": Reason(ReasonCode.NOT_IN_GRAPH),
        "lazy": Reason(ReasonCode.NO_SHAPE),
        "kept": Reason(ReasonCode.SCALE),
        "integers": Reason(ReasonCode.DTYPE, dtype="int64"),
    }
    assert list(reasons_to_keep(parameters, graph, CONFIG, "keep")) == ["unknown", "lazy", "kept", "integers"]


def test_parts_that_are_sums_are_kept(mesh: DeviceMesh) -> None:
    whole = nn.Parameter(DTensor.from_local(torch.randn(4, 3), mesh, [Shard(0)]))
    assert reason_not_to_write(whole) is None
    summands = nn.Parameter(DTensor.from_local(torch.randn(4, 3), mesh, [Partial()]))
    reason = reason_not_to_write(summands)
    assert reason is not None
    assert reason.code is ReasonCode.PLACEMENTS
    packed = DTensor.from_local(Packed.pack(torch.randn(4, 3)), mesh, [Replicate()])
    assert reason_not_to_write(packed) == "is a Packed, which only its own class can write"


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support.*:UserWarning", "ignore:.*quantized tensor creation")
@pytest.mark.parametrize("kind", [*WRITTEN, *KEPT])
def test_kinds_of_tensors(kind: str) -> None:
    tensor = WRITTEN[kind]() if kind in WRITTEN else KEPT[kind][0]()
    assert (reason_not_to_write(tensor) is None) is (kind in WRITTEN)
