"""Record one forward pass of a model operator by operator.

The result, an `OpGraph`, holds every ATen call with the tensors that go in and out. It knows nothing of primitives,
parameters' roles or hypernetworks: `ghn.graph.read.simplify` reads those out of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from ghn.common.parallel.thread_stack import ThreadStack
from ghn.common.private_torch import (
    OperatorMode,
    WeakIdKeyDictionary,
    WeakTensorKeyDictionary,
    is_backward_running,
    is_fake,
    is_wrapper,
    without_levels,
)
from ghn.common.tensors import extent, storage_of
from ghn.graph.record.guesses import counts, depends_on_values, guess, is_decision
from ghn.graph.record.known import KnownTensors
from ghn.graph.record.op_graph import GRADIENT, WRITE, Operation, OpGraph, Ref, Value
from ghn.graph.record.protected import Protected
from ghn.graph.record.refused.fitting import Fitting
from ghn.graph.record.shapes import without_numbers
from ghn.graph.record.stand_ins import StandIns, copy_of_constant
from ghn.graph.record.substitutes import FUSED_ATTENTION, OperatorFacts, OwnRandomNumbers, on_cpu, unfused_attention
from ghn.graph.record.trees import map_tensors, tensors_in
from ghn.graph.record.writes import Writes

if TYPE_CHECKING:
    from typing import Self


TURNS: ThreadStack[Recorder] = ThreadStack()
"""Whose turn it is in each thread: a forward pass that is recorded may trace another model."""


class Recorder(OperatorMode):
    """Context in which every operator call is appended to `graph`.

    Where tensors of the meta device meet tensors that hold numbers, the latter are replaced by meta ones, so constants
    that a model makes on the CPU remain readable (`.item()`, `.tolist()`) until they touch a feature.

    Args:
        answer: What to say where values decide yes or no; other operators that need numbers are answered with a guess
            then. None lets them raise `NeedsValuesError`.
        told: Whether the arguments hold more than tensors (texts, numbers), of which the model may make tensors.
        stand_ins: What operators get in the places of some tensors; none by default.
        finding_shapes: Whether the run is one in which lazy modules find their shapes: theirs are no operators to note.
        with_gradients: Whether the run is one in which tensors can be differentiated.
        strict: Whether to refuse what operators refuse, also where tensors without numbers pass.

    Attributes:
        fitting: What refuses.
        tracing_inside: Held by the thread that traces a model inside the forward pass which is recorded.
    """

    def __init__(
        self,
        *,
        answer: bool | None = None,
        told: bool = False,
        stand_ins: StandIns | None = None,
        finding_shapes: bool = False,
        with_gradients: bool = False,
        strict: bool = False,
    ) -> None:
        super().__init__()
        self._finding_shapes = finding_shapes
        self.with_gradients = with_gradients
        self.answer = answer
        self.told = told
        self.stand_ins = StandIns() if stand_ins is None else stand_ins
        self.graph = OpGraph()
        self._values = KnownTensors()
        self._writes: dict[int, Writes] = {}
        self._shadows: WeakIdKeyDictionary = WeakTensorKeyDictionary()
        self._facts = OperatorFacts()
        self.fitting = Fitting(strict=strict)
        self._differentiated: tuple[int, ...] = ()
        self._random = OwnRandomNumbers()
        self.protected = Protected()
        self.stand_ins.notice = self._notice_stand_in
        self._storages = 0
        self._paused = self._unfusing = False
        self._lock = threading.RLock()
        self.tracing_inside = threading.RLock()

    def add(self, tensor: Tensor, like: Iterable[Tensor] = ()) -> int:
        """Number a tensor; it shares memory with one of `like` if their storages are the same."""
        storage = None
        own = storage_of(tensor)
        for other in like:
            if own is not None and storage_of(other) is own:
                storage = self.graph.values[self._values[other]].storage
                break
        if storage is None:
            storage = self._storages
            self._storages += 1
        return self._number(tensor, storage)

    def _number(self, tensor: Tensor, storage: int) -> int:
        index = len(self.graph.values)
        shape, strides, offset = extent(tensor)
        value = Value(shape, strides, tensor.dtype, storage, offset)
        self.graph.values.append(value)
        self._values.put(tensor, index, (offset, shape, strides))
        writes = self._writes.get(storage)
        if writes:
            self._values.set_version(tensor, len(writes))
        return index

    def know(self, *tensors: Tensor) -> None:
        """Number tensors that a model holds, or makes of numbers, so that they do not count as made out of sight."""
        for tensor in tensors:
            if not is_lazy(tensor) and tensor not in self._values:
                self.add(tensor)

    def make(self, tensor: Tensor) -> None:
        """Number a tensor that a model makes of numbers in its forward pass, as an input where they may be data.

        Integers may be (tokens of a text) where they do more than count. Other numbers may be where the model was
        called with no tensor at all.
        """
        if tensor in self._values:
            return
        index = self.add(tensor)
        self.graph.come_back(index)
        if tensor.dim() and tensor.dtype != torch.bool:
            data = self.told or not counts(tensor)
            if data and (not tensor.is_floating_point() or (self.told and not self.graph.inputs)):
                self.graph.inputs.append(index)

    def read(self, tensor: Tensor) -> int:
        """The value that a tensor holds now."""
        index = self._values.get(tensor)
        if index is None:
            return self._meet(tensor)
        storage = self.graph.values[index].storage
        writes = self._writes.get(storage)
        if not writes:
            return index
        since = self._values.version(tensor)
        if since == len(writes):
            return index
        missed = writes.seen_by(index, self.graph.values[index], since)
        self._values.set_version(tensor, len(writes))
        if not missed:
            return index
        updated = self._number(tensor, storage)
        self.graph.operations.append(Operation(WRITE, (), {}, (index, *missed), (updated,)))
        return updated

    def read_moved(self, tensor: Tensor) -> int:
        """The value of a tensor that was given other memory: what is known to stand there."""
        if self._values.get(tensor) not in self.graph.parameters.values():
            self._values.leave(tensor)
        return self.read(tensor)

    def _as_last_read(self, tensor: Tensor) -> int:
        """The value that a tensor held when it was last read, or now if it never was."""
        index = self._values.get(tensor)
        return self._meet(tensor) if index is None else index

    def _meet(self, tensor: Tensor) -> int:
        """Number a tensor that no recorded operator made: `.data` of one that is known, a constant, or others' work."""
        known = self._values.in_same_place(tensor)
        if known is not None:
            source, index = self.read(known), self.add(tensor, [known])
            self.graph.operations.append(Operation("alias", (Ref(source),), {}, (source,), (index,)))
            return index
        shape, strides, offset = extent(tensor)
        if self._values.inherit(tensor, (offset, shape, strides)):
            return self.read(tensor)
        # Constants hold numbers until an operator brings them to the meta device.
        # Only others have computed with gradients, or on tensors without numbers, what nobody saw.
        made = tensor.is_meta or is_fake(tensor) or tensor.grad_fn is not None
        self.graph.out_of_sight |= made and tensor.is_floating_point()
        self.protected.add(tensor)
        if self.told and not tensor.is_meta:
            self.make(tensor)
            return self._values[tensor]
        index = self.add(tensor)
        self.graph.come_back(index)
        return index

    def _notice_stand_in(self, original: Tensor, make: Callable[[], tuple[Tensor, Tensor | None]]) -> Tensor:
        """Make a stand-in, which no operator of the model's does, and number it."""
        with self._lock:
            paused, self._paused = self._paused, True
            try:
                stand_in, source = make()
            finally:
                self._paused = paused
            if source is None:
                self.know(stand_in)
                return stand_in
            read, index = self.read(source), self.add(stand_in, [source])
            layout = list(stand_in.shape), list(stand_in.stride()), int(stand_in.storage_offset())
            whole = stand_in.shape == source.shape and stand_in.stride() == source.stride()
            name, rest = ("alias", ()) if whole else ("as_strided", layout)
            self.graph.operations.append(Operation(name, (Ref(read), *rest), {}, (read,), (index,)))
            return stand_in

    def knows_any(self, tree: Any) -> bool:
        """Whether a tensor among arguments is one that is recorded."""
        with self._lock:
            return any([tensor in self._values for tensor in list(tensors_in(tree))])

    def is_computed(self, tensor: Tensor) -> bool:
        """Whether an operator of the model made a tensor that could be differentiated."""
        if not tensor.is_floating_point() or self.stand_ins.original(tensor) is not tensor:
            return False
        return tensor in self._values and self._values[tensor] not in self.graph.inputs

    def protect_object(self, tensor: Tensor) -> None:
        """Let a tensor that is met for the first time have a stand-in: more than its memory is about to change."""
        # What `torch.func` wraps around a tensor is its own: the tensor inside does not change.
        if without_levels(tensor) is tensor and not self._values.shares_memory(tensor):
            self.stand_ins.wait(tensor, copy_of_constant)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator and record it; what it consists of, where it consists of others."""
        with self._lock:
            if not self._paused:
                if types and any(map(is_wrapper, types)):
                    return NotImplemented
                # They arrive whole where nothing can be differentiated: in inference mode, in jagged layout.
                composite = self._facts.is_composite(func)
                # Nested tensors have other kernels than the one that says of what an operator consists.
                if composite and not any([tensor.is_nested for tensor in tensors_in((args, kwargs or {}))]):
                    with self:
                        result = func.decompose(*args, **(kwargs or {}))
                    if result is not NotImplemented:
                        return result
            return self._record(func, args, kwargs or {})

    def _record(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self._paused:
            return func(*args, **kwargs)
        tensors = list(tensors_in((args, kwargs)))
        if self._finding_shapes and any([is_lazy(tensor) for tensor in tensors]):
            return func(*args, **kwargs)
        if any([self.stand_ins.replace(tensor, self._values.get) for tensor in tensors]):
            args, kwargs = map_tensors((args, kwargs), self.stand_ins.of)
            tensors = list(tensors_in((args, kwargs)))
        full, name, random = self._facts.names(func)
        if len(tensors) > 1 and any(t.is_meta for t in tensors) and not all(t.is_meta for t in tensors):
            self.fitting.check_numbers(full, args)
            args, kwargs = map_tensors((args, kwargs), self._on_meta)
            tensors = list(tensors_in((args, kwargs)))
        if full == FUSED_ATTENTION or (self._unfusing and self._facts.is_composite(func)):
            parts = self._record_parts(unfused_attention if full == FUSED_ATTENTION else func.decompose, args, kwargs)
            if parts is not NotImplemented:
                return parts
        if name == "lift_fresh":
            self.make(tensors[0])
        views = len(tensors) == 1 and self._facts.is_view(func)
        # A view has missed the writes that its base has missed, and sees those that reach its own elements.
        inputs = tuple([self._as_last_read(tensor) if views else self.read(tensor) for tensor in tensors])
        positional, named = map_tensors((args, kwargs), lambda tensor: Ref(self._values[tensor]))
        if self.protected:
            self.protected.save_what_is_written(func, args, kwargs)
        if random and on_cpu(tensors, kwargs):
            result = self._random.run(func, args, kwargs)
        else:
            result = self._run(full, func, args, kwargs, tensors)
        results = list(tensors_in(result))
        if name == "set":
            self.read_moved(tensors[0])
        if name == "set" or not results:
            return result
        outputs = []
        in_place = False
        for tensor in results:
            if any(tensor is given for given in tensors):
                in_place = True
                outputs.append(self._overwrite(tensor))
            else:
                outputs.append(self.add(tensor, tensors))
                if views:
                    self._values.set_version(tensor, self._values.version(tensors[0]))
        if is_backward_running():
            name, inputs = GRADIENT, (*self._differentiated, *inputs)
        self.graph.operations.append(Operation(name, positional, named, inputs, tuple(outputs), in_place, random))
        return result

    def _record_parts(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run what an operator consists of, and record that; what consists of others again is taken apart too."""
        unfusing, self._unfusing = self._unfusing, True
        try:
            with self:
                return run(*args, **kwargs)
        finally:
            self._unfusing = unfusing

    def _run(
        self, full: str, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], tensors: Sequence[Tensor]
    ) -> Any:
        self.fitting.check(full, args)
        result = without_numbers(full, args, kwargs, tensors)
        if result is not NotImplemented:
            return result
        if not depends_on_values(full, args, tensors):
            return func(*args, **kwargs)
        self.fitting.guessed = True
        if self.graph.decided_at is None and is_decision(full, args):
            self.graph.decided_at = len(self.graph.operations)
        return guess(full, func, args, kwargs, answer=self.answer)

    def differentiate(self, outputs: Any, inputs: Any, function: Callable[[], Any]) -> Any:
        """Run a function that differentiates, and record what it computes as gradients.

        Args:
            outputs: Tensors that are differentiated.
            inputs: By which; the function returns a gradient for each, or nothing.
            function: What runs.
        """
        with self._lock:
            before, self._differentiated = self._differentiated, self._read_inside(outputs)
            try:
                result = function()
                gradients = list(result) if isinstance(result, (tuple, list)) else []
                for gradient, by in zip(gradients, [inputs] if isinstance(inputs, Tensor) else inputs, strict=False):
                    if isinstance(gradient, Tensor) and isinstance(by, Tensor):
                        self._note_gradient(without_levels(gradient), without_levels(by))
            finally:
                self._differentiated = before
        return result

    def _read_inside(self, tree: Any) -> tuple[int, ...]:
        return tuple([self.read(without_levels(tensor)) for tensor in tensors_in(tree)])

    def _note_gradient(self, gradient: Tensor, by: Tensor) -> None:
        source, by_value = self.read(gradient), self.read(by)
        index = self._number(gradient, self.graph.values[source].storage)
        inputs = (source, by_value, *self._differentiated)
        self.graph.operations.append(Operation(GRADIENT, (Ref(source), Ref(by_value)), {}, inputs, (index,)))

    def __enter__(self) -> Self:
        """Record this thread's operators, too."""
        TURNS.push(self)
        super().__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        """Record them no longer."""
        super().__exit__(*failure)
        TURNS.pop()

    @property
    def paused(self) -> bool:
        """Whether something runs that is recorded as a whole, or is none of this recorder's business."""
        return self._paused or TURNS.current is not self

    def record_whole(self, name: str, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Run a function and record it as one operation, whatever operators it consists of."""
        with self._lock:
            inputs = tuple([self.read(tensor) for tensor in list(tensors_in(args))])
            references = map_tensors(tuple(args), lambda tensor: Ref(self._values[tensor]))
            self._paused = True
            try:
                result = function(*args)
            finally:
                self._paused = False
            outputs = tuple([self.add(tensor) for tensor in tensors_in(result)])
            self.graph.operations.append(Operation(name, references, {}, inputs, outputs))
        return result

    def _overwrite(self, tensor: Tensor) -> int:
        before = self.graph.values[self._values[tensor]]
        index = self._number(tensor, before.storage)
        # What stands for a view on the meta device begins at its own memory's start.
        self.graph.values[index].offset = before.offset
        writes = self._writes.setdefault(before.storage, Writes(forgetting=True))
        writes.append(index, self.graph.values[index])
        self._values.set_version(tensor, len(writes))
        return index

    def _on_meta(self, tensor: Tensor) -> Tensor:
        if tensor.is_meta or tensor.dim() == 0:
            return tensor
        shadow = self._shadows.get(tensor)
        if shadow is None:
            shape, strides, _ = extent(tensor)
            shadow = self._shadows[tensor] = torch.empty_strided(shape, strides, dtype=tensor.dtype, device="meta")
        self._values[shadow] = self.read(tensor)
        self._values.set_version(shadow, self._values.version(tensor))
        return shadow
