"""Recurrent layers as one operation each, and constants that no operator makes."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from ghn.graph.record.recorder import Recorder
from ghn.graph.record.recurrent import RECURRENT, RecordedFunctions, cells

LAYERS: dict[str, Any] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2},
    {"bidirectional": True},
    {"batch_first": True, "bias": False},
    {"num_layers": 2, "bidirectional": True, "bias": False, "batch_first": True},
]


def recorded(layer: nn.Module, sequence: Any) -> tuple[Recorder, Any]:
    recorder = Recorder()
    recorder.know(*layer.parameters())
    with torch.no_grad(), recorder, RecordedFunctions(recorder):
        result = layer(sequence)
    return recorder, result


def shapes(result: Any) -> Any:
    return [tuple(part.shape) if isinstance(part, torch.Tensor) else shapes(part) for part in result]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_shapes_without_numbers_are_those_with(name: str, options: dict[str, Any]) -> None:
    layer = LAYERS[name](3, 4, **options)
    with torch.no_grad():
        expected = shapes(layer(torch.zeros(2, 5, 3)))
    recorder, result = recorded(layer.to("meta"), torch.zeros(2, 5, 3, device="meta"))
    assert shapes(result) == expected
    assert [operation.name for operation in recorder.graph.operations].count(name) == 1
    assert set(RECURRENT) == set(LAYERS)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bias", [False, True])
def test_shapes_of_projected_states(bias: bool) -> None:
    layer = nn.LSTM(3, 6, proj_size=2, num_layers=2, bidirectional=True, bias=bias)
    with torch.no_grad():
        expected = shapes(layer(torch.zeros(5, 2, 3)))
    _, result = recorded(layer.to("meta"), torch.zeros(5, 2, 3, device="meta"))
    assert shapes(result) == expected


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_cells_hold_all_parameters_in_order(options: dict[str, Any], packed: bool) -> None:
    layer = nn.GRU(3, 4, **options)
    sequence = pack_sequence([torch.zeros(5, 3), torch.zeros(2, 3)]) if packed else torch.zeros(2, 5, 3)
    recorder, _ = recorded(layer, sequence)
    (operation,) = (operation for operation in recorder.graph.operations if operation.name == "gru")
    data, found, both = cells(operation.args)
    assert recorder.graph.values[data.value].shape == ((7, 3) if packed else (2, 5, 3))
    assert both == options.get("bidirectional", False)
    assert len(found) == options.get("num_layers", 1) * (1 + both)
    values = [reference.value for cell in found for reference in cell]
    assert values == [recorder.read(parameter) for parameter in layer.parameters()]


def test_constants_made_of_numbers_are_no_work_of_others() -> None:
    recorder = Recorder()
    with recorder, RecordedFunctions(recorder):
        made = torch.tensor([1.0, 2.0], device="meta")
        made + 1
    assert not recorder.graph.out_of_sight
