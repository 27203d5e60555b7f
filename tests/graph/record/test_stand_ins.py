"""Stand-ins take tensors' places."""

import torch
from torch import Tensor

from ghn.graph.record.recorder import Recorder
from ghn.graph.record.stand_ins import StandIns, copy_of_constant, storage_of


def to_meta(tensor: Tensor) -> Tensor:
    return tensor.to("meta")


def test_arguments_get_stand_ins_and_others_stay_the_same_object() -> None:
    stand_ins, own, other = StandIns(), torch.ones(2), torch.ones(2)
    stand_ins.wait(own, to_meta)
    untouched = [other, {"a": (other, 1)}]
    assert stand_ins.in_place_of(untouched) is untouched
    replaced = stand_ins.in_place_of((other, {"a": [own]}))
    assert replaced[0] is other
    assert replaced[1]["a"][0].is_meta
    assert stand_ins.of(own) is replaced[1]["a"][0]
    assert stand_ins.original(replaced[1]["a"][0]) is own
    assert stand_ins.original(other) is other


def test_views_of_one_memory_have_stand_ins_in_one_memory() -> None:
    stand_ins, weight = StandIns(), torch.zeros(4, 3)
    row, column, beyond = weight[1], weight[:, 2], torch.zeros(12)[2:]
    stand_ins.put(weight, weight.clone())
    stand_ins.wait(row, torch.clone)
    stand_ins.wait(column, torch.clone)
    stand_ins.wait(beyond, torch.clone)
    stand_ins.of(weight).fill_(1)
    assert stand_ins.of(row).tolist() == [1] * 3
    assert stand_ins.of(column).tolist() == [1] * 4
    assert stand_ins.of(beyond).tolist() == [0] * 10
    assert weight.sum() == 0


def test_a_view_is_recorded_as_what_it_is() -> None:
    weight, x = torch.zeros(4, 3), torch.zeros(3, device="meta")
    recorder = Recorder()
    recorder.stand_ins.put(weight, to_meta(weight))
    recorder.graph.parameters = {"weight": recorder.add(recorder.stand_ins.of(weight))}
    recorder.add(x)
    with torch.no_grad(), recorder:
        weight.data[1] * x
    names = [operation.name for operation in recorder.graph.operations]
    assert names[-1] == "mul"
    assert recorder.graph.parameters_used == 1
    assert not recorder.graph.out_of_sight


def test_kinds_without_memory_or_strides() -> None:
    sparse = torch.eye(3).to_sparse()
    assert storage_of(sparse) is None
    assert copy_of_constant(sparse).layout is torch.sparse_coo
    assert copy_of_constant(torch.ones(2, device="meta")).is_meta
    recorder = Recorder()
    with recorder:
        torch.sparse.mm(sparse, torch.ones(3, 2))
    assert recorder.graph.operations
