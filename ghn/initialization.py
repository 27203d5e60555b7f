"""Initialise a model with the parameters that a hypernetwork predicts for it."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ghn.batch_norm import StatisticsReport
from ghn.common.errors import OneLineError
from ghn.common.memory import memory_errors_as
from ghn.common.modules import named_parameters
from ghn.common.sharded import is_sharded, local_part, reshard, with_own_part
from ghn.common.tensors import without_class
from ghn.common.text import printable
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.reasons import Reason
from ghn.graph.run.depth import with_room
from ghn.hypernet.ghn import GHN
from ghn.hypernet.keep import HeadOption, reasons_to_keep
from ghn.hypernet.write import Written

LISTED_NAMES = 12
"""Kept parameters that a printed report names; the others are counted by reason."""


@dataclass(frozen=True, kw_only=True)
class InitReport:
    """What was predicted, what was not, and why; `print(report)` is a readable table.

    Attributes:
        predicted: Names of the predicted parameters.
        kept: Names of the parameters that keep the model's own initialisation, each with the reason.
        fraction: Predicted elements / all elements, tied parameters counted once.
        traced_by: How the graph was obtained (see `ghn.trace`).
        seconds: Wall-clock seconds by part: tracing, encoding, decoding, writing.
        total_norm: Euclidean norm of all predicted parameters, the random rows of position tables excepted.
        statistics: What became of the batch norms' statistics; None where these were not asked for.
    """

    predicted: tuple[str, ...]
    kept: Mapping[str, Reason]
    fraction: float
    traced_by: str
    seconds: Mapping[str, float]
    total_norm: float
    statistics: StatisticsReport | None = None

    def __str__(self) -> str:
        times = ", ".join(f"{part} {1000 * seconds:.0f} ms" for part, seconds in self.seconds.items())
        lines = [
            f"predicted   {len(self.predicted)} of {len(self.predicted) + len(self.kept)} parameters, "
            f"{100 * self.fraction:.2f} % of all elements",
            f"total norm  {self.total_norm:.4f}",
            f"traced by   {self.traced_by}",
            f"seconds     {sum(self.seconds.values()):.3f} ({times})",
            *([f"statistics  {self.statistics}"] if self.statistics is not None else []),
        ]
        if 0 < len(self.kept) <= LISTED_NAMES:
            names = {name: printable(name) for name in self.kept}
            width = max(map(len, names.values()))
            lines += ["kept", *(f"  {names[name]:<{width}}  {printable(reason)}" for name, reason in self.kept.items())]
        elif self.kept:
            counts = Counter(self.kept.values()).most_common()
            lines += ["kept", *(f"  {count:>5} parameters  {printable(reason)}" for reason, count in counts)]
        return "\n".join(lines)


def initialize(
    hypernet: GHN,
    model: nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    graph: ComputationalGraph | None = None,
) -> InitReport:
    """Predict the parameters of `model` and write them into it.

    Lazy modules get their shapes first. Nothing but parameters changes: no buffer, mode, gradient, `requires_grad` or
    random state. The model is traced, and everything is decoded and checked, before the first value is written, so that
    an error leaves it as it was.

    Args:
        hypernet: The hypernetwork, on any device.
        model: The model, on any device but meta; parameters of any floating-point type, frozen or tied ones too.
        example_inputs: What to call the model with, if not one image (see `ghn.trace`).
        seed: Governs what is drawn: the class-token rows of position tables.
        head: `keep` leaves a classification head with another number of classes than the hypernetwork's as it is,
            `predict` decodes it as an ordinary weight.
        strict: Least fraction of elements to predict, between 0 and 1; no limit by default.
        graph: The model's graph, if it was traced before.

    Raises:
        ValueError: If the model has no parameters, is on the meta device, cannot be traced, less than `strict` (or
            `strict` is no fraction) would be predicted, or a prediction is not finite.
    """
    from ghn.graph.trace import materialise

    _check_strict(strict)
    materialise(model, example_inputs)
    reshard(model)
    parameters = _parameters(model)
    graph, tracing = _trace(model, example_inputs, graph)
    kept = reasons_to_keep(parameters, graph, hypernet.config, head)
    meta = [name for name, parameter in parameters.items() if name not in kept and without_class(parameter).is_meta]
    if meta:
        raise ValueError(
            f"{meta[0]} is on the meta device, where nothing can be written; use `predict`, or call "
            "model.to_empty(device=...) first"
        )
    fraction = _fraction(parameters, kept, strict)
    destinations = {name: parameter for name, parameter in parameters.items() if name not in kept}
    with memory_errors_as(OneLineError, f"there is not enough memory to predict {type(model).__name__}"):
        written = hypernet.decode_into(graph, destinations, seed=seed, head=head)
    return _report(graph, written, kept, fraction, tracing)


def predict(
    hypernet: GHN,
    model: nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    graph: ComputationalGraph | None = None,
    complete: bool = False,
) -> dict[str, Tensor]:
    """Predict the parameters of `model`, which is left as it is.

    Args:
        hypernet: The hypernetwork, on any device.
        model: The model, on any device, meta too.
        example_inputs: As in `initialize`.
        seed: As in `initialize`.
        head: As in `initialize`.
        strict: As in `initialize`.
        graph: As in `initialize`.
        complete: Give all that `load_state_dict(..., strict=True)` takes: also the parameters that are kept, every name
            of tied ones, buffers and extra state, as copies. Buffers are the model's own: running statistics of batch
            norms are not predicted (`GHN.predict` sets them where asked to).

    Returns:
        New tensors by name, in the order of `model.named_parameters()` (of `model.state_dict()` if complete), each of
        its parameter's type and on its parameter's device (the CPU for meta). Parameters that are not predicted are
        left out unless complete.

    Raises:
        ValueError: As `initialize`, but for the meta device; if complete, where a tensor that is kept has no numbers.
    """
    _check_strict(strict)
    reshard(model)
    parameters = _parameters(model)
    graph, _ = _trace(model, example_inputs, graph)
    kept = reasons_to_keep(parameters, graph, hypernet.config, head)
    _fraction(parameters, kept, strict)
    with memory_errors_as(OneLineError, f"there is not enough memory to predict {type(model).__name__}"):
        predicted = {name: _empty_like(parameter) for name, parameter in parameters.items() if name not in kept}
        hypernet.decode_into(graph, predicted, seed=seed, head=head)
        return _completed(predicted, parameters, model) if complete else predicted


def _completed(
    predicted: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter], model: nn.Module
) -> dict[str, Any]:
    """The model's state with predictions in the place of its parameters, under every name that these have."""
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


def _check_strict(strict: float | None) -> None:
    if strict is not None and not 0 <= strict <= 1:
        raise ValueError(f"strict is a fraction of all elements, between 0 and 1, not {strict:g}")


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


def _report(
    graph: ComputationalGraph, written: Written, kept: Mapping[str, Reason], fraction: float, tracing: float
) -> InitReport:
    return InitReport(
        predicted=written.names[0],
        kept=dict(kept),
        fraction=fraction,
        traced_by=graph.traced_by,
        seconds={"tracing": tracing, **written.seconds},
        total_norm=written.total_norm,
    )
