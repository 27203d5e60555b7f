"""What is to be predicted, for one model or several at once: from a model to its graph, and to its predictions."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.common.errors import OneLineError, check_seed
from ghn.common.memory import memory_errors_as
from ghn.common.modules import named_parameters
from ghn.common.sharded import is_sharded, local_part, reshard, with_own_part
from ghn.common.tensors import without_class
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.reasons import Reason
from ghn.graph.run.depth import with_room
from ghn.hypernet.ghn import GHN
from ghn.hypernet.keep import HeadOption, reasons_to_keep
from ghn.hypernet.write import Written
from ghn.initialization.report import InitReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model that was traced and looked through.

    Attributes:
        model: The model.
        parameters: All of its parameters, by name.
        graph: Its graph.
        kept: Those of its parameters that are not predicted, with the reason.
        fraction: Predicted elements / all elements.
        tracing: Seconds that the graph took.
    """

    model: nn.Module
    parameters: Mapping[str, nn.Parameter]
    graph: ComputationalGraph
    kept: Mapping[str, Reason]
    fraction: float
    tracing: float

    @property
    def predictable(self) -> dict[str, nn.Parameter]:
        """The parameters that are predicted, by name."""
        return {name: parameter for name, parameter in self.parameters.items() if name not in self.kept}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be predicted by which hypernetwork, the same for one model or many.

    Attributes:
        hypernet: The hypernetwork.
        example_inputs: What to call a model with (see `ghn.trace`).
        seed: Governs what is drawn.
        head: How a head with another number of classes is treated.
        strict: Least fraction of elements to predict.

    Raises:
        ValueError: If `strict` is no fraction, or `seed` no whole number.
    """

    hypernet: GHN
    example_inputs: Any
    seed: int
    head: HeadOption
    strict: float | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        if self.strict is not None and not (isinstance(self.strict, Real) and 0 <= self.strict <= 1):
            raise ValueError(f"strict is a fraction of all elements, between 0 and 1, not {self.strict!r}")

    def prepared(self, model: nn.Module, graph: ComputationalGraph | None = None) -> Prepared:
        """Trace a model (if `graph` is not its graph) and see what can be predicted of it."""
        reshard(model)
        parameters = _parameters(model)
        graph, tracing = _trace(model, self.example_inputs, graph)
        kept = reasons_to_keep(parameters, graph, self.hypernet.config, self.head)
        fraction = _fraction(parameters, kept, self.strict)
        return Prepared(model=model, parameters=parameters, graph=graph, kept=kept, fraction=fraction, tracing=tracing)

    def prepared_to_write(self, model: nn.Module, graph: ComputationalGraph | None = None) -> Prepared:
        """The same for a model that is written to: it gets the shapes of lazy modules first."""
        from ghn.graph.trace import materialise

        materialise(model, self.example_inputs)
        found = self.prepared(model, graph)
        meta = [name for name, parameter in found.predictable.items() if without_class(parameter).is_meta]
        if meta:
            raise ValueError(
                f"{meta[0]} is on the meta device, where nothing can be written; use `predict`, or call "
                "model.to_empty(device=...) first"
            )
        return found

    def initialize(self, batch: Sequence[Prepared]) -> list[InitReport]:
        """Predict some models in place, all at once; seconds but for tracing are shared by their numbers of nodes."""
        with self._enough_memory(batch):
            written = self._decode(batch, [item.predictable for item in batch])
        return _reports(batch, written)

    def predict(self, batch: Sequence[Prepared], *, complete: bool) -> list[dict[str, Tensor]]:
        """Predict some models into new tensors, all at once."""
        with self._enough_memory(batch):
            predicted = [
                {name: _empty_like(parameter) for name, parameter in item.predictable.items()} for item in batch
            ]
            self._decode(batch, predicted)
            if not complete:
                return predicted
            return [_completed(tensors, item) for tensors, item in zip(predicted, batch, strict=True)]

    def _decode(self, batch: Sequence[Prepared], destinations: Sequence[Mapping[str, Tensor]]) -> Written:
        graphs = [item.graph for item in batch]
        return self.hypernet.decode_into(graphs, destinations, seed=self.seed, head=self.head)

    def _enough_memory(self, batch: Sequence[Prepared]) -> AbstractContextManager[None]:
        kinds = ", ".join(dict.fromkeys(type(item.model).__name__ for item in batch))
        what = kinds if len(batch) == 1 else f"{len(batch)} models at once ({kinds}); lower max_nodes"
        return memory_errors_as(OneLineError, f"there is not enough memory to predict {what}")


def _completed(predicted: Mapping[str, Tensor], prepared: Prepared) -> dict[str, Any]:
    """A model's state with predictions in the place of its parameters, under every name that these have."""
    model, parameters = prepared.model, prepared.parameters
    by_identity = {id(parameters[name]): tensor for name, tensor in predicted.items()}
    state: dict[str, Any] = {}
    for name, value in with_room(lambda: model.state_dict(keep_vars=True), model).items():
        if id(value) in by_identity:
            state[name] = by_identity[id(value)]
        elif not isinstance(value, Tensor):
            state[name] = copy.deepcopy(value)
        elif is_lazy(value) or without_class(value).is_meta:
            raise ValueError(f"{name} is not predicted, and the model has no numbers for it; leave out complete")
        else:
            state[name] = value.detach().clone()
    return state


def _empty_like(parameter: Tensor) -> Tensor:
    if is_sharded(parameter):
        return with_own_part(_empty_like(local_part(parameter)), parameter)
    plain = without_class(parameter)
    device = torch.device("cpu") if plain.is_meta else plain.device
    return torch.empty(plain.shape, dtype=plain.dtype, device=device)


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    parameters = named_parameters(model)
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters: there is nothing to predict")
    return parameters


def _trace(model: nn.Module, example_inputs: Any, graph: ComputationalGraph | None) -> tuple[ComputationalGraph, float]:
    from ghn.graph.trace import trace

    began = time.perf_counter()
    if graph is None:
        graph = trace(model, example_inputs)
    return graph, time.perf_counter() - began


def _fraction(parameters: Mapping[str, nn.Parameter], kept: Mapping[str, Reason], strict: float | None) -> float:
    """Fraction of elements to be predicted; an error if it is less than `strict`."""
    sizes = {
        name: 0 if is_lazy(parameter) else without_class(parameter).numel() for name, parameter in parameters.items()
    }
    total = sum(sizes.values())
    fraction = sum(size for name, size in sizes.items() if name not in kept) / total if total else 0.0
    if strict is not None and fraction < strict:
        largest = max(kept, key=lambda name: sizes[name])
        raise ValueError(
            f"only {100 * fraction:.4g} % of the elements would be predicted, less than the {100 * strict:g} % asked "
            f"for; the largest left out is {largest}: {kept[largest]}"
        )
    return fraction


def _reports(batch: Sequence[Prepared], written: Written) -> list[InitReport]:
    nodes = sum(len(item.graph) for item in batch)
    return [
        InitReport(
            predicted=names,
            kept=dict(item.kept),
            fraction=item.fraction,
            traced_by=item.graph.traced_by,
            seconds={
                "tracing": item.tracing,
                **{part: seconds * len(item.graph) / nodes for part, seconds in written.seconds.items()},
            },
            total_norm=norm,
        )
        for item, names, norm in zip(batch, written.names, written.norms, strict=True)
    ]
