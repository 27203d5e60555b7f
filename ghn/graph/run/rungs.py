"""The ways to run a model for its record, from the cheapest to the one that runs anything."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.modules import modules, named_parameters, set_mode
from ghn.common.private_torch import MODULE_BUFFERS, MODULE_PARAMETERS, fake_tensor_mode, without_modes
from ghn.common.sharded import is_sharded, local_part
from ghn.graph.record.op_graph import OpGraph
from ghn.graph.record.recorder import Recorder
from ghn.graph.record.recurrent import NeedsGradientsError, RecordedFunctions
from ghn.graph.record.stand_ins import StandIns, copy_of_constant
from ghn.graph.record.threads import followed
from ghn.graph.record.trees import output_tensors
from ghn.graph.run.arguments import Inputs
from ghn.graph.run.calling import call_model
from ghn.graph.run.reach import Reach, kept_as_it_is
from ghn.graph.run.stand_in import blank, comes_from_ranks, moves_weights, stand_in

Convert = Callable[[Tensor], Tensor]

_HOOKS = ("_forward_pre_hooks", "_forward_hooks")


def record_forward(
    model: nn.Module, inputs: Inputs, training: bool, convert: Convert, *, answer: bool | None = None
) -> OpGraph:
    """Run a model once under a recorder; twice where lazy modules find their shapes first. The model stays as it is.

    Gradients cost time and memory: they are computed only where the model itself differentiates.

    Args:
        model: The model itself.
        inputs: What to call it with.
        training: The mode to run it in.
        convert: Makes the stand-in of a parameter, a buffer or an input.
        answer: See `Recorder`.

    Raises:
        ValueError: If the model returns no tensor.
    """

    def record(gradients: bool) -> OpGraph:
        # What the model sets of its context is gone afterwards.
        context = contextvars.copy_context()
        return context.run(_record_forward, model, inputs, training, convert, answer, gradients=gradients)

    try:
        return record(gradients=False)
    except NeedsGradientsError:
        return record(gradients=True)


def _record_forward(
    model: nn.Module, inputs: Inputs, training: bool, convert: Convert, answer: bool | None, *, gradients: bool
) -> OpGraph:
    with kept_as_it_is(model) as reach:
        strict = not (_without_movers(model) or inputs.guessed)
        names = set(named_parameters(model))
        if _with_lazy_stand_ins(model, convert):
            finder = Recorder(answer=answer, told=inputs.tell, finding_shapes=True, with_gradients=gradients)
            _run(model, inputs, training, convert, reach, finder)
        recorder = Recorder(answer=answer, told=inputs.tell, with_gradients=gradients, strict=strict)
        record = _run(model, inputs, training, convert, reach, recorder)
        # Layers that the first of two runs made are none of the model's.
        record.parameters = {name: value for name, value in record.parameters.items() if name in names}
        return record


def _run(
    model: nn.Module,
    inputs: Inputs,
    training: bool,
    convert: Convert,
    reach: Reach,
    recorder: Recorder,
) -> OpGraph:
    args, kwargs = inputs.map(convert)
    graph = recorder.graph
    for name, parameter in named_parameters(model).items():
        if not is_lazy(parameter):
            stand_in = convert(parameter)
            recorder.stand_ins.put(parameter, stand_in)
            graph.parameters[name] = recorder.add(stand_in)
            recorder.protected.add(stand_in)
            _with_own_part(name, parameter, stand_in, recorder.stand_ins)
    for tensor in [*reach.parameters, *reach.buffers]:
        if not is_lazy(tensor):
            recorder.stand_ins.wait(tensor, convert)
    for tensor in reach.tensors:
        recorder.stand_ins.wait(tensor, copy_of_constant)
    graph.inputs = [recorder.add(tensor) for tensor in Inputs(args, kwargs).tensors()]
    # What `torch.func` wraps before any function sees it must be the stand-in already: devices are compared there.
    held_instead = _held_instead(model, recorder.stand_ins) if recorder.with_gradients else contextlib.nullcontext()
    try:
        with (
            held_instead,
            torch.set_grad_enabled(recorder.with_gradients),
            recorder,
            RecordedFunctions(recorder),
            followed(recorder),
        ):
            set_mode(model, training)
            output = call_model(model, *args, **kwargs)
        graph.outputs = [recorder.read(recorder.stand_ins.of(tensor)) for tensor in output_tensors(output)]
    finally:
        recorder.protected.restore()
    if not graph.outputs:
        raise ValueError(f"{type(model).__name__} returns no tensor")
    return graph


def _with_own_part(name: str, parameter: Tensor, stand_in: Tensor, stand_ins: StandIns) -> None:
    """Let what this process holds of a sharded parameter have the same stand-in, if it is the whole."""
    if not is_sharded(parameter):
        return
    with without_modes():  # in its own memory, no fake tensor
        part = local_part(parameter)
    if part.shape == parameter.shape:
        stand_ins.put(part, stand_in)
        return

    def refuse(_: Tensor) -> Tensor:
        raise ValueError(
            f"it takes the part of {name} that one process holds; trace the model before it is spread over processes, "
            "and pass that graph"
        )

    stand_ins.wait(part, refuse)


def _with_lazy_stand_ins(model: nn.Module, convert: Convert) -> bool:
    """Let lazy modules hold other tensors without a shape, which are given one; whether there are any."""
    found = False
    for module in modules(model):
        for kind in (MODULE_PARAMETERS, MODULE_BUFFERS):
            held = module.__dict__.get(kind) or {}
            for name, tensor in [*held.items()]:
                if tensor is not None and is_lazy(tensor):
                    held[name] = convert(tensor)
                    found = True
    return found


@contextlib.contextmanager
def _held_instead(model: nn.Module, stand_ins: StandIns) -> Iterator[None]:
    """Let modules hold the stand-ins of their parameters and buffers."""
    held = [
        module.__dict__.get(kind) or {} for module in modules(model) for kind in (MODULE_PARAMETERS, MODULE_BUFFERS)
    ]
    before = [(tensors, dict(tensors)) for tensors in held]
    for tensors in held:
        for name, tensor in [*tensors.items()]:
            if tensor is not None and stand_ins.has(tensor):
                tensors[name] = stand_ins.of(tensor)
    try:
        yield
    finally:
        for tensors, own in before:
            tensors.update(own)


def _without_movers(model: nn.Module) -> bool:
    """Take the hooks away that move data between processes or devices; `kept_as_it_is` puts them back.

    Returns:
        Whether there were any: they also bring inputs to the type that layers compute in.
    """
    found = False
    for module in modules(model):
        if moves_weights(module.__dict__.get("_hf_hook")) and "_old_forward" in module.__dict__:
            module.__dict__["forward"] = module.__dict__["_old_forward"]
            found = True
        for kind in _HOOKS:
            hooks = module.__dict__.get(kind) or {}
            for key in [key for key, hook in hooks.items() if comes_from_ranks(hook)]:
                del hooks[key]
                found = True
    return found


def _run_meta(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    return record_forward(model, inputs, training, _to_meta)


def _run_guess(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    """With no to every question, and with yes where that leaves parameters out."""
    records: list[OpGraph] = []
    failures: list[Exception] = []
    # No first: what follows `if torch.isnan(x).any()` is seldom the way that a model takes.
    for answer in (False, True):
        try:
            record = record_forward(model, inputs, training, _to_meta, answer=answer)
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

    with mode:
        return record_forward(model, inputs, training, fake)


def _run_real(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    return record_forward(model, inputs, training, _to_cpu)


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
