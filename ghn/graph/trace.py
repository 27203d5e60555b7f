"""Trace a model to its computational graph.

A model is run once, its tensors replaced by others without numbers, and every operator call is recorded (`record`);
data-flow rules turn the record into primitives and parameters (`simplify`). Where a model cannot run so, the next rung
of the ladder is tried:

    meta     on the meta device: shapes only, no arithmetic
    guess    the same for models that select by value (boxes, tokens): everything counts as selected; taken where all
             parameters are used, and before the first yes or no that values decide
    fake     fake tensors, for operators and code that the meta device does not serve
    real     on the CPU with real numbers, for control flow that depends on values
    modules  no run at all: modules in the order of their definition, for models without a usable `forward` and for
             those whose layers run out of sight

Neither the model and what it reaches, nor any global state (random numbers, backends) is changed. Threads trace one at
a time; while they do, the model is in the mode that is tried, so other threads had better not evaluate it. Queues,
events and files that the model holds are shared with others, and keep what its forward pass does to them.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ghn.common.memory import is_out_of_memory
from ghn.common.modules import modes_kept, named_parameters, tensors_of
from ghn.common.private_torch import compiler_is_loaded
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.read.modules import graph_of_modules
from ghn.graph.read.sharing import without_overlaps
from ghn.graph.read.simplify import simplify
from ghn.graph.record.guesses import NeedsValuesError
from ghn.graph.record.op_graph import OpGraph
from ghn.graph.record.refused.fitting import OutOfRangeError
from ghn.graph.run.arguments import Inputs, given_inputs
from ghn.graph.run.calling import call_model
from ghn.graph.run.depth import is_roomy, with_room
from ghn.graph.run.inputs import candidate_inputs
from ghn.graph.run.process import compiled_parts_eager, interruptible, process_untouched
from ghn.graph.run.rungs import RUNGS


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
    if not named_parameters(model):
        raise TraceError(f"{type(model).__name__} has no parameters: there is nothing to predict")
    return with_room(lambda: interruptible(lambda: _trace(model, example_inputs)), model)


def _trace(model: nn.Module, example_inputs: Any) -> ComputationalGraph:
    candidates = [given_inputs(example_inputs)] if example_inputs is not None else candidate_inputs(model)
    ladder = _Ladder(model, candidates)
    with process_untouched():
        try:
            graph = ladder.climb()
        except _OutOfSightError:
            graph = graph_of_modules(model)
    guessed = example_inputs is None
    if graph is None and not (_has_forward(model) and (not guessed or _takes(model, candidates[0]))):
        graph = graph_of_modules(model)
    if graph is not None:
        return without_overlaps(graph, model)
    first = ladder.failures[0]
    raise TraceError(_failure_line(model, candidates[0], first, guessed=guessed)) from first


class _OutOfSightError(Exception):
    """Layers run where operators cannot be seen, on any rung: in threads that were started before, in other code."""


class _Ladder:
    """The attempts to run a model, rung by rung, in training and evaluation mode and with each of some inputs.

    Attributes:
        failures: What the attempts on the last rung that was tried failed with. On the last rung of all they are the
            model's own; on the others the rung may be at fault.
    """

    def __init__(self, model: nn.Module, candidates: Sequence[Inputs]) -> None:
        self.model, self.candidates = model, candidates
        self.failures: list[Exception] = []
        self._needing_values: dict[bool, Inputs] = {}
        self._out_of_range: set[bool] = set()
        self._doubtful: ComputationalGraph | None = None

    def climb(self) -> ComputationalGraph | None:
        """The graph from the first rung that carries; None if none does."""
        for rung in RUNGS:
            if any(isinstance(failure, RecursionError) for failure in self.failures):
                return self._doubtful
            self.failures.clear()
            for training, inputs in itertools.product((True, False), self.candidates):
                if not self._is_sensible(rung, training, inputs):
                    continue
                graph = self._attempt(rung, training, inputs)
                if graph is not None:
                    return self._with_more_parameters(graph, rung, inputs) if training else self._better(graph)
        return self._doubtful

    def _is_sensible(self, rung: str, training: bool, inputs: Inputs) -> bool:
        """Guesses are for what needs values, and no other inputs change that it does; real numbers tell a wrong one."""
        if rung == "fake" and training in self._out_of_range:
            return False
        needing = self._needing_values.get(training)
        return needing is inputs if rung == "guess" else needing is None or rung != "meta"

    def _attempt(self, rung: str, training: bool, inputs: Inputs) -> ComputationalGraph | None:
        try:
            record = _run_uncompiled(rung, self.model, inputs, training)
        except Exception as error:
            # Whatever a user's forward raises is a failed attempt; the first one is reported if all fail.
            if isinstance(error, RecursionError) and not is_roomy():
                raise
            if isinstance(error, NeedsValuesError):
                self._needing_values.setdefault(training, inputs)
            if isinstance(error, OutOfRangeError):
                self._out_of_range.add(training)
            self.failures.append(error)
            return None
        graph = simplify(record, traced_by=rung)
        if graph.has_unused and record.detours:
            connected = simplify(record.with_detours(), traced_by=rung)
            graph = connected if len(connected.parameters) > len(graph.parameters) else graph
        if record.out_of_sight and graph.has_unused:
            raise _OutOfSightError
        if rung == "guess" and (record.rests_on_a_guess or graph.has_unused):
            self._doubtful = self._better(graph)
            return None
        return graph

    def _with_more_parameters(self, graph: ComputationalGraph, rung: str, inputs: Inputs) -> ComputationalGraph:
        """The evaluation-mode graph where training left parameters out that it reaches (layers dropped at random)."""
        if graph.has_unused:
            other = self._attempt(rung, False, inputs)
            if other is not None and len(other.parameters) > len(graph.parameters):
                graph = other
        return self._better(graph)

    def _better(self, graph: ComputationalGraph) -> ComputationalGraph:
        """The graph, or the one from guesses where that reaches more parameters."""
        if self._doubtful is not None and len(self._doubtful.parameters) > len(graph.parameters):
            return self._doubtful
        return graph


def materialise(model: nn.Module, example_inputs: Any = None) -> None:
    """Give lazy modules their shapes by one forward pass in evaluation mode; nothing happens to other models.

    Args:
        model: The model, changed in place.
        example_inputs: As for `trace`.

    Raises:
        TraceError: If the forward pass fails.
    """
    if not any(is_lazy(tensor) for tensor in tensors_of(model)):
        return
    inputs = given_inputs(example_inputs) if example_inputs is not None else candidate_inputs(model)[0]
    device = next((p.device for p in named_parameters(model).values() if not is_lazy(p)), torch.device("cpu"))
    args, kwargs = inputs.map(lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype, device=device))

    def run() -> None:
        with process_untouched(), compiled_parts_eager(), torch.no_grad(), modes_kept(model):
            call_model(model.eval(), *args, **kwargs)

    try:
        with_room(lambda: interruptible(run), model)
    except Exception as error:
        raise TraceError(_failure_line(model, inputs, error, guessed=example_inputs is None)) from error


def _run_uncompiled(rung: str, model: nn.Module, inputs: Inputs, training: bool) -> OpGraph:
    """Run a rung; once more where it fails and has only now loaded the compiler, which then compiled the recorder."""
    loaded = compiler_is_loaded()
    try:
        with compiled_parts_eager():
            return RUNGS[rung](model, inputs, training)
    except Exception:
        if loaded or not compiler_is_loaded():
            raise
    with compiled_parts_eager():
        return RUNGS[rung](model, inputs, training)


def _has_forward(model: nn.Module) -> bool:
    return getattr(type(model), "forward", None) is not nn.Module.forward


def _takes(model: nn.Module, inputs: Inputs) -> bool:
    """Whether the forward pass takes as many arguments."""
    try:
        signature = inspect.signature(model.forward)
    except ValueError:
        # Code that is not Python's, which does not say.
        return True
    try:
        signature.bind(*inputs.args, **inputs.kwargs)
    except TypeError:
        return False
    return True


def _failure_line(model: nn.Module, inputs: Inputs, error: Exception, *, guessed: bool) -> str:
    if is_out_of_memory(error):
        return f"there is not enough memory to run {type(model).__name__} on {inputs}; take smaller inputs"
    cause = " ".join(str(error).split()) or type(error).__name__
    if len(cause) > 300:
        cause = cause[:297] + "..."
    fit = not guessed and _takes(model, inputs)
    advice = "pass example_inputs that fit the model" if not fit else "check the shapes and types of example_inputs"
    return f"the forward pass of {type(model).__name__} fails on {inputs}: {cause} ({advice})"
