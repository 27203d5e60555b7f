"""Trace a model to its computational graph.

A model is run once, on a copy without numbers, and every operator call is recorded (`record`); data-flow rules turn the
record into primitives and parameters (`simplify`). Where a model cannot run so, the next rung of the ladder is tried:

    meta     a copy on the meta device: shapes only, no arithmetic
    fake     fake tensors, for operators and code that the meta device does not serve
    real     a copy on the CPU with real numbers, for control flow that depends on values
    modules  no run at all: modules in the order of their definition, for models without a usable `forward`

Neither the model, nor its buffers and mode, nor any global state (random numbers, backends) is changed.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.copying import copy_model
from ghn.graph.inputs import Inputs, candidate_inputs, given_inputs
from ghn.graph.modules import graph_of_modules
from ghn.graph.record import OpGraph, Recorder, output_tensors
from ghn.graph.recurrent import RecurrentFunctions
from ghn.graph.simplify import UNUSED, simplify


class TraceError(ValueError):
    """A model that cannot be traced; the message says why and what to do."""


def trace(model: nn.Module, example_inputs: Any = None) -> ComputationalGraph:
    """The computational graph of a model.

    Args:
        model: Any module, on any device; left as it is.
        example_inputs: What to call it with: a tensor, a tuple of arguments, a dict of keyword arguments, or a pair
            (tuple, dict). By default what the model says of itself (timm and transformers configurations), else an
            image batch (2, 3, 224, 224), else inputs that fit its first layer.

    Returns:
        The graph in training mode, or in evaluation mode where that is the only one to run or uses more parameters.

    Raises:
        TraceError: If the model has no parameters, or its forward pass fails (a `ValueError`).
    """
    if next(model.parameters(), None) is None:
        raise TraceError(f"{type(model).__name__} has no parameters: there is nothing to predict")
    candidates = [given_inputs(example_inputs)] if example_inputs is not None else candidate_inputs(model)
    failures: list[Exception] = []
    with _global_state_untouched():
        for rung in RUNGS:
            # The last rung's failures are the model's own; on the others the rung may be at fault.
            failures.clear()
            for training, inputs in itertools.product((True, False), candidates):
                graph = _attempt(rung, model, inputs, training, failures)
                if graph is not None:
                    return _with_more_parameters(graph, rung, model, inputs) if training else graph
    first = failures[0]
    if not _can_be_called(model, candidates[0]):
        return graph_of_modules(model)
    raise TraceError(_failure_line(model, candidates[0], first, guessed=example_inputs is None)) from first


def _attempt(
    rung: str, model: nn.Module, inputs: Inputs, training: bool, failures: list[Exception]
) -> ComputationalGraph | None:
    try:
        record = RUNGS[rung](model, inputs, training)
    except Exception as error:
        # Whatever a user's forward raises is a failed attempt; the first one is reported if all fail.
        failures.append(error)
        return None
    return simplify(record, traced_by=rung)


def _with_more_parameters(graph: ComputationalGraph, rung: str, model: nn.Module, inputs: Inputs) -> ComputationalGraph:
    """The evaluation-mode graph where training left parameters out that it reaches (layers dropped at random)."""
    if UNUSED not in graph.kept.values():
        return graph
    other = _attempt(rung, model, inputs, False, [])
    return other if other is not None and len(other.parameters) > len(graph.parameters) else graph


def record_forward(model: nn.Module, inputs: Inputs, *, move: Callable[[Tensor], Tensor]) -> OpGraph:
    """Run a model (already a copy) once under a recorder; twice where lazy modules find their shapes first."""
    args, kwargs = inputs.map(move)
    if any(is_lazy(parameter) for parameter in model.parameters()):
        with torch.no_grad():
            model(*args, **kwargs)
    recorder = Recorder()
    graph = recorder.graph
    for name, parameter in model.named_parameters():
        if not is_lazy(parameter):
            graph.parameters[name] = recorder.add(parameter)
    graph.inputs = [recorder.add(tensor) for tensor in Inputs(args, kwargs).tensors()]
    with torch.no_grad(), recorder, RecurrentFunctions(recorder):
        output = model(*args, **kwargs)
    graph.outputs = [recorder.read(tensor) for tensor in output_tensors(output)]
    if not graph.outputs:
        raise TraceError(f"{type(model).__name__} returns no tensor")
    return graph


def materialise(model: nn.Module, example_inputs: Any = None) -> None:
    """Give lazy modules their shapes by one forward pass in evaluation mode; nothing happens to other models.

    Args:
        model: The model, changed in place.
        example_inputs: As for `trace`.

    Raises:
        TraceError: If the forward pass fails.
    """
    if not any(is_lazy(tensor) for tensor in [*model.parameters(), *model.buffers()]):
        return
    inputs = given_inputs(example_inputs) if example_inputs is not None else candidate_inputs(model)[0]
    device = next((p.device for p in model.parameters() if not is_lazy(p)), torch.device("cpu"))
    args, kwargs = inputs.map(lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype, device=device))
    modes = {module: module.training for module in model.modules()}
    try:
        with _global_state_untouched(), torch.no_grad():
            model.eval()(*args, **kwargs)
    except Exception as error:
        raise TraceError(_failure_line(model, inputs, error, guessed=example_inputs is None)) from error
    finally:
        for module, training in modes.items():
            module.training = training


def _run_meta(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    return record_forward(copy_model(model, _to_meta).train(training), inputs, move=_to_meta)


def _run_fake(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def fake(tensor: Tensor) -> Tensor:
        with mode:
            like = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
            return nn.Parameter(like, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else like

    copied = copy_model(model, fake).train(training)
    with mode:
        return record_forward(copied, inputs, move=fake)


def _run_real(model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    with torch.backends.mkldnn.flags(enabled=False):
        return record_forward(copy_model(model, _to_cpu).train(training), inputs, move=_to_cpu)


RUNGS: dict[str, Callable[[nn.Module, Inputs, bool], OpGraph]] = {
    "meta": _run_meta,
    "fake": _run_fake,
    "real": _run_real,
}


def _lazy_like(tensor: Tensor, device: str) -> Tensor:
    kind: Any = type(tensor)
    return kind(requires_grad=tensor.requires_grad, device=device)


def _to_meta(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):
        return _lazy_like(tensor, "meta")
    # Integers and masks keep their numbers: models read sizes and indices out of them.
    if not (tensor.is_floating_point() or tensor.is_complex()) and not tensor.is_meta:
        return _to_cpu(tensor)
    like = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return nn.Parameter(like, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else like


def _to_cpu(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):
        return _lazy_like(tensor, "cpu")
    if tensor.is_meta:
        copied = torch.zeros(tensor.shape, dtype=tensor.dtype)
    else:
        copied = tensor.detach().to("cpu", copy=True)
    return nn.Parameter(copied, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copied


@contextlib.contextmanager
def _global_state_untouched() -> Iterator[None]:
    """Attention unfused, random states and the fast path of attention modules restored afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with (
        torch.inference_mode(False),
        torch.random.fork_rng(devices=[]),
        sdpa_kernel(SDPBackend.MATH),
        warnings.catch_warnings(),
        _compiled_parts_eager(),
    ):
        # What a forward pass warns of would come again, and better, when the user runs it.
        warnings.simplefilter("ignore")
        # An operator that fake tensors do not serve fills pages of log; the next rung is tried anyway.
        log = logging.getLogger("torch._subclasses.fake_tensor")
        level = log.level
        log.setLevel(logging.CRITICAL)
        torch.backends.mha.set_fastpath_enabled(False)
        torch.manual_seed(0)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            log.setLevel(level)
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextlib.contextmanager
def _compiled_parts_eager() -> Iterator[None]:
    """Compiled modules run as they were written: nobody wants the tracer compiled."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


def _can_be_called(model: nn.Module, inputs: Inputs) -> bool:
    """Whether there is a forward pass, and it takes these arguments."""
    if getattr(type(model), "forward", None) is nn.Module.forward:
        return False
    try:
        inspect.signature(model.forward).bind(*inputs.args, **inputs.kwargs)
    except TypeError:
        return False
    return True


def _failure_line(model: nn.Module, inputs: Inputs, error: Exception, *, guessed: bool) -> str:
    cause = " ".join(str(error).split()) or type(error).__name__
    if len(cause) > 300:
        cause = cause[:297] + "..."
    advice = "pass example_inputs that fit the model" if guessed else "check the shapes of example_inputs"
    return f"the forward pass of {type(model).__name__} fails on {inputs}: {cause} ({advice})"
