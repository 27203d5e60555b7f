"""What the recorder notes: values, views, and writes in place."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ghn.graph import Role
from ghn.graph.reasons import ReasonCode
from ghn.graph.record.guesses import NeedsValuesError
from ghn.graph.record.op_graph import WRITE, OpGraph, Ref
from ghn.graph.record.recorder import Recorder
from ghn.graph.trace import trace
from tests.graph.graphs import IMAGE, Lambda, chain, conv, edges, isomorphic, named


def test_written_slices() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        first, second = self.a(x).chunk(2, 1)
        out = torch.zeros(2, 6, 16, 16)
        out[:, :3] = first.relu_()
        out[:, 3:] = self.b(second)
        return self.c(out)

    graph = trace(Lambda(forward, a=conv(3, 6), b=conv(3, 3), c=conv(6, 6)), IMAGE)
    assert edges(graph) == {
        ("input", "a.weight"),
        ("a.weight", "b.weight"),
        ("a.weight", "concat"),
        ("b.weight", "concat"),
        ("concat", "c.weight"),
    }


def test_writing_to_one_half_leaves_the_other() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        first, second = self.a(x).chunk(2, 1)
        first += self.b(x)
        return self.c(second)

    graph = trace(Lambda(forward, a=conv(3, 6), b=conv(3, 3), c=conv(3, 3)), IMAGE)
    assert chain(graph) == ["input", "conv", "conv"]
    assert graph.kept == {"b.weight": "unused: no path to the output"}


def record(function: Callable[..., Any], *tensors: Tensor, parameters: Sequence[Tensor] = ()) -> OpGraph:
    """The record of a function of tensors, its inputs; parameters are p0, p1, ..."""
    recorder = Recorder()
    recorder.graph.parameters = {f"p{index}": recorder.add(tensor) for index, tensor in enumerate(parameters)}
    recorder.graph.inputs = [recorder.add(tensor) for tensor in tensors]
    with torch.no_grad(), recorder:
        output = function(*tensors)
    recorder.graph.outputs = [recorder.read(output)]
    return recorder.graph


def producers(graph: OpGraph) -> set[str]:
    """Names of the operations that the output was computed from."""
    by = {value: operation for operation in graph.operations for value in operation.outputs}
    found: set[str] = set()
    pending = list(graph.outputs)
    while pending:
        operation = by.get(pending.pop())
        if operation is not None:
            found.add(operation.name)
            pending.extend(operation.inputs)
    return found


X = torch.zeros(4, 6)


def test_in_place_forms_have_the_name_of_the_others_and_make_new_values() -> None:
    graph = record(lambda x: x.clone().relu_().add_(1), X)
    assert [(operation.name, operation.in_place) for operation in graph.operations] == [
        ("clone", False),
        ("relu", True),
        ("add", True),
    ]
    outputs = [operation.outputs[0] for operation in graph.operations]
    assert len({*graph.inputs, *outputs}) == 4
    assert len({graph.values[output].storage for output in outputs}) == 1
    assert graph.outputs == outputs[-1:]


@pytest.mark.parametrize(
    ("written", "read", "seen"),
    [
        # Neighbouring columns share extents, but no element.
        (lambda y: y[:, :3], lambda y: y[:, 3:], False),
        (lambda y: y[:, :3], lambda y: y[:, 2:], True),
        (lambda y: y[:2], lambda y: y[2:], False),
        (lambda y: y[1:3], lambda y: y[2:], True),
        (lambda y: y[::2], lambda y: y[1::2], False),
        (lambda y: y, lambda y: y[3:], True),
        (lambda y: y[3:], lambda y: y, True),
        (lambda y: y.t()[:2], lambda y: y[:, :1], True),
        (lambda y: y.view(-1)[5:6], lambda y: y[0, 5], True),
        (lambda y: y.view(-1)[5:6], lambda y: y[1:], False),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_view_sees_what_is_written_to_elements_of_its_own(
    written: Callable[[Tensor], Tensor], read: Callable[[Tensor], Tensor], seen: bool, device: str
) -> None:
    def function(x: Tensor) -> Tensor:
        y = x.clone()
        view = read(y)
        written(y).exp_()
        return view.neg()

    def afterwards(x: Tensor) -> Tensor:
        y = x.clone()
        written(y).exp_()
        return read(y).neg()

    def of_a_view(x: Tensor) -> Tensor:
        y = x.clone()
        written(y).exp_()
        return read(y[:][:, :]).neg()

    # Whenever it is taken, and of whatever view.
    for make in (function, afterwards, of_a_view):
        assert ("exp" in producers(record(make, X.to(device)))) == seen


def test_several_writes_are_all_seen_and_once() -> None:
    def function(x: Tensor) -> Tensor:
        y = x.clone()
        view = y.view(-1)
        y[0].exp_()
        y[1].sin_()
        return view.neg() + view.cos()

    graph = record(function, X)
    assert {"exp", "sin"} <= producers(graph)
    writes = [operation for operation in graph.operations if operation.name == WRITE]
    # `view`, after both writes; the second reading of it finds nothing new.
    assert len([operation for operation in writes if graph.values[operation.outputs[0]].shape == (24,)]) == 1


def test_constants_keep_their_numbers_until_they_touch_features() -> None:
    def function(x: Tensor) -> Tensor:
        steps = torch.arange(6.0)
        assert steps.sum().item() == 15
        y = x + steps
        assert y.is_meta
        assert steps.tolist()[-1] == 5
        return y

    assert producers(record(function, X.to("meta"))) >= {"add", "arange"}


def test_values_of_the_meta_device_are_needed_by_name() -> None:
    with pytest.raises(NeedsValuesError, match=r"aten\._local_scalar_dense\.default depends on values"):
        record(lambda x: x.sum().item(), X.to("meta"))


def test_tensors_from_nowhere_are_out_of_sight() -> None:
    hidden = torch.zeros(4, 6, device="meta")
    assert record(lambda x: x + hidden, X.to("meta")).out_of_sight
    assert not record(lambda x: x + torch.zeros(4, 6, device="meta"), X.to("meta")).out_of_sight
    assert not record(lambda x: x + torch.ones(6), X).out_of_sight


def test_arguments_are_kept_with_references_in_place_of_tensors() -> None:
    graph = record(lambda x: torch.cat([x, x + 1], dim=1).mean(1, keepdim=True), X)
    add, cat, mean = graph.operations
    assert cat.args == ([Ref(graph.inputs[0]), Ref(add.outputs[0])], 1)
    assert cat.inputs == (graph.inputs[0], add.outputs[0])
    assert (mean.argument(1, "dim"), mean.argument(2, "keepdim")) == ([1], True)


def test_operators_of_other_libraries_keep_their_namespace() -> None:
    ops = pytest.importorskip("torchvision").ops
    boxes = torch.tensor([[0.0, 0, 0, 4, 4]])
    graph = record(lambda x: ops.roi_align(x, boxes, 2), torch.zeros(1, 3, 8, 8))
    assert [operation.name for operation in graph.operations][-1] == "torchvision.roi_align"


def test_a_function_recorded_as_a_whole_is_one_operation() -> None:
    recorder = Recorder()
    index = recorder.add(X)
    with recorder:
        result = recorder.record_whole("both", lambda x: (x.exp().neg(), [x.sum()]), (X,))
        after = result[0] + 1
    assert [operation.name for operation in recorder.graph.operations] == ["both", "add"]
    assert recorder.graph.operations[0].inputs == (index,)
    assert len(recorder.graph.operations[0].outputs) == 2
    assert recorder.read(after) == recorder.graph.operations[1].outputs[0]


def test_a_function_that_fails_leaves_the_recorder_recording() -> None:
    recorder = Recorder()
    recorder.add(X)
    with recorder:
        with pytest.raises(ZeroDivisionError):
            recorder.record_whole("fails", lambda x: 1 // 0, (X,))
        X.neg()
    assert [operation.name for operation in recorder.graph.operations] == ["neg"]


# --- composite operators, which arrive whole where nothing can be differentiated ---


class Inferring(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    @torch.inference_mode()
    def forward(self, *args: Tensor) -> Tensor:
        return self.net(*args)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (lambda: nn.Linear(8, 8), torch.zeros(2, 4, 8)),
    "bilinear": (lambda: Lambda(lambda self, x: self.a(x, x), a=nn.Bilinear(8, 8, 4)), torch.zeros(2, 8)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.zeros(2, 4, 8)),
    "recurrent": (lambda: nn.GRU(8, 8), torch.zeros(4, 2, 8)),
    "image": (lambda: nn.Sequential(conv(3, 4), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGE),
    "norms": (lambda: nn.Sequential(conv(3, 4), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(2, 4)), IMAGE),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_does_not_depend_on_what_can_be_differentiated(name: str) -> None:
    make, x = NETWORKS[name]
    model = make()
    plain = trace(model, x)
    inside = trace(Inferring(model), x)
    assert [node.op for node in inside.nodes] == [node.op for node in plain.nodes]
    assert inside.edges.tolist() == plain.edges.tolist()
    for context in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with context():
            assert isomorphic(named(trace(model, x)), named(plain))


def test_a_part_of_the_forward_pass_may_infer() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        with torch.inference_mode():
            features = self.a(x)
        return self.b(features.clone())

    model = Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 3))
    assert chain(trace(model, torch.zeros(2, 8))) == ["input", "conv", "bias", "conv", "bias"]


# --- numbers of which tensors are made ---


def made_of(*numbers: Any, told: bool = False, inputs: int = 0) -> int:
    """How many inputs a record has after a tensor is made of numbers."""
    recorder = Recorder(told=told)
    recorder.graph.inputs = [recorder.add(torch.zeros(1)) for _ in range(inputs)]
    with recorder:
        torch.tensor(*numbers)
    return len(recorder.graph.inputs)


def test_integers_that_count_are_no_data_unless_the_arguments_tell() -> None:
    assert made_of([[3, 1, 4]]) == 1
    assert made_of([[0, 1, 2], [5, 6, 7]]) == made_of([7, 7, 7]) == made_of([5]) == made_of(5) == made_of([True]) == 0
    assert made_of([[0, 1, 2]], told=True) == 1
    assert made_of([0.5, 2.0]) == made_of([0.5, 2.0], told=True, inputs=1) - 1 == 0
    assert made_of([0.5, 2.0], told=True) == 1


READERS: dict[str, tuple[Callable[[Any], Tensor], Any]] = {
    "texts": (lambda texts: torch.tensor([[ord(sign) for sign in text] for text in texts]), ["hello", "world"]),
    "bytes": (lambda texts: torch.as_tensor([list(text) for text in texts]), [b"abcde", b"abcde"]),
    "lists": (torch.LongTensor, [[1, 2, 3], [2, 3, 4]]),
    "arrays": (torch.from_numpy, np.array([[1, 2, 3], [2, 3, 4]])),
    "tensor": (lambda x: torch.tensor([[i * 7 % 5 for i in row] for row in x.tolist()]), torch.tensor([[1, 5, 3]])),
}


@pytest.mark.parametrize("name", READERS)
def test_a_table_that_is_looked_up_by_data_is_no_position_embedding(name: str) -> None:
    read, given = READERS[name]

    def forward(self: Lambda, given: Any) -> Tensor:
        x = self.embed(read(given))
        return self.head((x + self.mix(self.norm(x))).mean(1))

    modules = {"embed": nn.Embedding(128, 8), "norm": nn.LayerNorm(8), "mix": nn.Linear(8, 8), "head": nn.Linear(8, 3)}
    graph = trace(Lambda(forward, **modules), (given,))
    assert {name: reason.code for name, reason in graph.kept.items()} == {"embed.weight": ReasonCode.LOOKUP}


def test_a_table_that_is_looked_up_by_positions_is_one() -> None:
    for positions in (torch.arange, lambda size: torch.tensor(list(range(size)))):

        def forward(self: Lambda, x: Tensor, positions: Any = positions) -> Tensor:
            return self.head(x + self.table(positions(5)))

        graph = trace(Lambda(forward, table=nn.Embedding(9, 8), head=nn.Linear(8, 3)), torch.zeros(2, 5, 8))
        assert graph.parameters["table.weight"].role is Role.POSITION


def test_features_may_be_made_of_numbers() -> None:
    model = Lambda(lambda self, points: self.a(torch.tensor(points).relu()), a=nn.Linear(2, 3))
    assert chain(trace(model, ([[1.0, 2.0], [3.0, 4.0]],))) == ["input", "conv", "bias"]


def test_what_was_written_into_a_constant_is_known_once_it_meets_features() -> None:
    def function(x: Tensor) -> Tensor:
        constant = torch.zeros(4, 6)
        constant[0] = 1
        constant[2:] = 2
        return (x + constant) * constant

    graph = record(function, X.to("meta"))
    writes = [operation for operation in graph.operations if operation.name == WRITE]
    same = record(function, X)
    assert len(writes) == sum(operation.name == WRITE for operation in same.operations) > 0


def _moved(x: Tensor) -> Tensor:
    parameter = nn.Parameter(torch.zeros(2, 8))
    parameter.data = x
    return parameter


@pytest.mark.parametrize(
    "under_another_name",
    [
        nn.Parameter,
        nn.Buffer,
        lambda x: x.data,
        lambda x: nn.Parameter(x.data),
        lambda x: torch.Tensor._make_subclass(Tensor, x),
        lambda x: nn.ParameterList([x])[0],
        lambda x: nn.Parameter(x[:, ::2]).repeat(1, 2),
        lambda x: torch.empty_like(x).set_(x.untyped_storage(), 0, (2, 8), (8, 1)),
        _moved,
        lambda x: nn.Parameter(x) if x.detach().sum() > -1e9 else x.neg(),
    ],
)
def test_what_no_operator_makes_of_a_result_that_nobody_else_holds(
    under_another_name: Callable[[Tensor], Tensor],
) -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.c(x + self.b(under_another_name(self.a(x))))

    graph = trace(Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 3)), torch.zeros(2, 8))
    assert not graph.kept
    assert graph.traced_by != "modules"
    assert {("input", "sum"), ("b.bias", "sum")} < edges(graph)
    assert len(graph) == 8


def test_layers_that_are_copied_where_they_run() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        self.b.weight = nn.Parameter(self.b.weight.clamp(-1, 1))
        return self.c(x + self.b(copy.deepcopy(self.a)(x)))

    graph = trace(Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 3)), torch.zeros(2, 8))
    assert (graph.traced_by, dict(graph.kept)) == ("meta", {})
    assert {("input", "sum"), ("b.bias", "sum")} < edges(graph)
    assert len(graph) == 8


def test_linearised_functions_are_not_traced_by_what_runs_in_the_place_of_operators() -> None:
    def forward(self: Lambda, x: Tensor) -> Tensor:
        return self.b(torch.func.linearize(lambda r: torch.tanh(self.a(r)), x)[1](torch.ones_like(x)))

    graph = trace(Lambda(forward, a=nn.Linear(8, 8), b=nn.Linear(8, 3)), torch.zeros(2, 8))
    assert graph.traced_by == "meta"
    assert "a.weight" not in graph.kept
