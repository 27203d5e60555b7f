"""The ways to run a model for its record, from the cheapest to the one that runs anything."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.private_torch import fake_tensor_mode
from ghn.graph.parts import modules, named_buffers, named_parameters
from ghn.graph.record.op_graph import OpGraph
from ghn.graph.record.outputs import output_tensors
from ghn.graph.record.recorder import Recorder
from ghn.graph.record.recurrent import NeedsGradientsError, RecordedFunctions
from ghn.graph.record.threads import followed
from ghn.graph.record.trees import tensors_in
from ghn.graph.run.arguments import Inputs
from ghn.graph.run.calling import call_model
from ghn.graph.run.copying import copy_model
from ghn.graph.run.stand_in import blank, stand_in


def record_forward(
    model: nn.Module, inputs: Inputs, *, move: Callable[[Tensor], Tensor], answer: bool | None = None
) -> OpGraph:
    """Run a model (already a copy) once under a recorder; twice where lazy modules find their shapes first.

    Gradients cost time and memory: they are computed only where the model itself differentiates.
    """
    try:
        return _record_forward(model, inputs, move=move, answer=answer, gradients=False)
    except NeedsGradientsError:
        return _record_forward(model, inputs, move=move, answer=answer, gradients=True)


def _record_forward(
    model: nn.Module, inputs: Inputs, *, move: Callable[[Tensor], Tensor], answer: bool | None, gradients: bool
) -> OpGraph:
    args, kwargs = inputs.map(move)
    if any(is_lazy(parameter) for parameter in named_parameters(model).values()):
        with torch.no_grad():
            call_model(model, *args, **kwargs)
    recorder = Recorder(answer=answer, told=inputs.tell)
    graph = recorder.graph
    for name, parameter in named_parameters(model).items():
        if not is_lazy(parameter):
            graph.parameters[name] = recorder.add(parameter)
    recorder.know(*named_buffers(model).values())
    recorder.know(*(tensor for module in modules(model) for tensor in tensors_in(module.__dict__)))
    graph.inputs = [recorder.add(tensor) for tensor in Inputs(args, kwargs).tensors()]
    with torch.set_grad_enabled(gradients), recorder, RecordedFunctions(recorder), followed(recorder):
        output = call_model(model, *args, **kwargs)
    graph.outputs = [recorder.read(tensor) for tensor in output_tensors(output)]
    if not graph.outputs:
        raise ValueError(f"{type(model).__name__} returns no tensor")
    return graph


def _run_meta(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    return record_forward(copy_model(model, _to_meta).train(training), inputs, move=_to_meta)


def _run_guess(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    """With no to every question, and with yes where that leaves parameters out."""
    records: list[OpGraph] = []
    failures: list[Exception] = []
    # No first: what follows `if torch.isnan(x).any()` is seldom the way that a model takes.
    for answer in (False, True):
        copied = copy_model(model, _to_meta).train(training)
        try:
            record = record_forward(copied, inputs, move=_to_meta, answer=answer)
        except Exception as error:
            # Either way may be one that the model forbids.
            failures.append(error)
            continue
        if record.decided_at is None or record.parameters_used == len(record.parameters):
            return record
        records.append(record)
    if not records:
        raise failures[0]
    return max(records, key=lambda record: record.parameters_used)


def _run_fake(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    mode = fake_tensor_mode()

    def fake(tensor: Tensor) -> Tensor:
        with mode:
            return blank(tensor, "cpu")

    copied = copy_model(model, fake).train(training)
    with mode:
        return record_forward(copied, inputs, move=fake)


def _run_real(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    with torch.backends.mkldnn.flags(enabled=False):
        return record_forward(copy_model(model, _to_cpu).train(training), inputs, move=_to_cpu)


def _to_meta(tensor: Tensor) -> Tensor:
    return stand_in(tensor, "meta")


def _to_cpu(tensor: Tensor) -> Tensor:
    return stand_in(tensor, "cpu")


RUNGS: dict[str, Callable[[nn.Module, Inputs, bool], OpGraph]] = {
    "meta": _run_meta,
    "guess": _run_guess,
    "fake": _run_fake,
    "real": _run_real,
}
