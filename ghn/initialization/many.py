"""Initialise many models at once: traced one by one, then encoded and decoded in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from math import prod
from typing import Any, TypedDict, Unpack

from torch import Tensor, nn

from ghn.common.errors import OneLineError, WrongTypeError
from ghn.graph.computational_graph import ComputationalGraph
from ghn.hypernet.ghn import GHN
from ghn.hypernet.keep import HeadOption
from ghn.hypernet.write import HELD_ELEMENTS, PredictionError
from ghn.initialization.report import InitReport
from ghn.initialization.wish import Prepared, Wish

MAX_NODES = 4096
"""Nodes of the graphs of a batch, by default."""

MAX_ELEMENTS = HELD_ELEMENTS
"""Elements that a batch predicts (512 MiB of float32); a model that has more is a batch of its own.

No more are decoded before tiling, so that none is decoded twice.
"""


class ManyOptions(TypedDict, total=False):
    """Options that all functions of this file take; see `initialize_many`."""

    seed: int
    head: HeadOption
    strict: float | None
    graphs: Iterable[ComputationalGraph] | None
    max_nodes: int


Place = tuple[int, Prepared]
"""A model's number, from 0 on, and what was prepared of it."""


def initialize_many(
    hypernet: GHN,
    models: Iterable[nn.Module],
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    graphs: Iterable[ComputationalGraph] | None = None,
    max_nodes: int = MAX_NODES,
) -> list[InitReport]:
    """Predict the parameters of several models and write them into these, in batches of bounded size.

    What is written is what `initialize` writes, to 1e-5 of a tensor's largest element: sums of products are taken in
    another order. Of models that share a parameter the last one's prediction stays. All models are traced and looked
    through before the first value is written; an error in that leaves all as they were, and one in decoding leaves
    those of its batch and of later ones.

    Args:
        hypernet: The hypernetwork, on any device.
        models: The models, as for `initialize`.
        example_inputs: What to call each of them with, if not one image (see `ghn.trace`).
        seed: As in `initialize`; the same for each model.
        head: As in `initialize`.
        strict: As in `initialize`; holds for each model.
        graphs: The models' graphs, if they were traced before, one each.
        max_nodes: Most nodes of the graphs that are encoded and decoded at once; a larger one goes alone. Fewer take
            less memory.

    Returns:
        A report for each model. The seconds of a batch's encoding, decoding and writing are shared out by nodes.

    Raises:
        ValueError: As `initialize`, naming the model by its number (from 0 on) and class; if `max_nodes` is less than
            1, or `graphs` are not as many as models.
    """
    wish = Wish(hypernet=hypernet, example_inputs=example_inputs, seed=seed, head=head, strict=strict)
    models = several(models)
    _check_nodes(max_nodes)
    places = list(_prepared(wish.prepared_to_write, models, graphs))
    reports: list[InitReport] = []
    for batch in _batches(places, max_nodes):
        with _decoding(batch):
            reports += wish.initialize([prepared for _, prepared in batch])
    return reports


def predict_many(
    hypernet: GHN,
    models: Iterable[nn.Module],
    example_inputs: Any = None,
    *,
    complete: bool = False,
    **options: Unpack[ManyOptions],
) -> list[dict[str, Tensor]]:
    """Predict the parameters of several models, which are left as they are, in batches of bounded size.

    Holds all predictions at once; `predict_each`, which takes the same arguments, gives one after the other.
    """
    return list(predict_each(hypernet, models, example_inputs, complete=complete, **options))


def predict_each(
    hypernet: GHN,
    models: Iterable[nn.Module],
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    graphs: Iterable[ComputationalGraph] | None = None,
    complete: bool = False,
    max_nodes: int = MAX_NODES,
) -> Iterator[dict[str, Tensor]]:
    """Predict the parameters of several models, left as they are, and give one prediction after the other.

    `models` (and `graphs`) may be made on the way: they are taken a batch at a time, and given up with it.

    Args:
        hypernet: The hypernetwork, on any device.
        models: The models, as for `predict`.
        example_inputs: As in `initialize_many`.
        seed: As in `initialize_many`.
        head: As in `initialize_many`.
        strict: As in `initialize_many`.
        graphs: As in `initialize_many`.
        complete: As in `predict`.
        max_nodes: As in `initialize_many`.

    Returns:
        For each model what `predict` gives, to 1e-5 of a tensor's largest element.

    Raises:
        ValueError: As `initialize_many`, but for the meta device; for what is wrong with a model, when its batch is
            reached.
    """
    wish = Wish(hypernet=hypernet, example_inputs=example_inputs, seed=seed, head=head, strict=strict)
    models = several(models)
    _check_nodes(max_nodes)

    def predictions() -> Iterator[dict[str, Tensor]]:
        for batch in _batches(_prepared(wish.prepared, models, graphs), max_nodes):
            with _decoding(batch):
                predicted = wish.predict([prepared for _, prepared in batch], complete=complete)
            batch.clear()
            yield from reversed([predicted.pop() for _ in range(len(predicted))])

    return predictions()


def several(models: Iterable[nn.Module]) -> Iterable[nn.Module]:
    """The models as they are given.

    Raises:
        ValueError: For a single model: containers of modules can be gone through, too.
    """
    if isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList):
        raise WrongTypeError(f"models must be a list of models, not one {type(models).__name__}; pass [model]")
    if not isinstance(models, Iterable) or isinstance(models, str):
        raise WrongTypeError(f"models must be a list of models, not {type(models).__name__}")
    return models


def _check_nodes(max_nodes: int) -> None:
    if max_nodes < 1:
        raise ValueError(f"max_nodes must be at least 1, not {max_nodes}")


def _prepared(
    prepare: Callable[[nn.Module, ComputationalGraph | None], Prepared],
    models: Iterable[nn.Module],
    graphs: Iterable[ComputationalGraph] | None,
) -> Iterator[Place]:
    """Each model traced and looked through, when it is asked for."""
    pairs: Iterator[tuple[nn.Module, ComputationalGraph | None]]
    pairs = zip(models, repeat(None)) if graphs is None else _in_step(models, graphs)
    for number, (model, graph) in enumerate(pairs):
        try:
            prepared = prepare(model, graph)
        except ValueError as error:
            raise _named(error, number, model) from error
        yield number, prepared


def _in_step(
    models: Iterable[nn.Module], graphs: Iterable[ComputationalGraph]
) -> Iterator[tuple[nn.Module, ComputationalGraph]]:
    given = iter(graphs)
    number = -1
    for number, model in enumerate(models):
        graph = next(given, None)
        if graph is None:
            raise ValueError(f"there are {number} graphs for more models; give each model its own, or none")
        yield model, graph
    if next(given, None) is not None:
        raise ValueError(f"there are more graphs than the {number + 1} models; give each model its own, or none")


def _batches(places: Iterable[Place], max_nodes: int) -> Iterator[list[Place]]:
    """Models that are decoded together: consecutive ones, as many as the limits allow.

    Two that share a parameter do not meet: it is not said in which order a batch is written.
    """
    batch: list[Place] = []
    nodes = elements = 0
    owned: set[int] = set()
    for place in places:
        graph, own = place[1].graph, place[1].predictable
        size = sum(prod(graph.parameters[name].shape) for name in own)
        identities = set(map(id, own.values()))
        too_large = nodes + len(graph) > max_nodes or elements + size > MAX_ELEMENTS
        if batch and (too_large or not owned.isdisjoint(identities)):
            yield batch
            batch, nodes, elements, owned = [], 0, 0, set()
        batch.append(place)
        nodes, elements = nodes + len(graph), elements + size
        owned |= identities
    if batch:
        yield batch


@contextmanager
def _decoding(batch: Sequence[Place]) -> Iterator[None]:
    """Within the block, a prediction that cannot be written names its model."""
    try:
        yield
    except PredictionError as error:
        number, prepared = batch[error.graph]
        raise _named(error, number, prepared.model) from error


def _named(error: ValueError, number: int, model: nn.Module) -> ValueError:
    """The error with the model's number and class before it."""
    from ghn.graph.trace import TraceError

    kind = next((kind for kind in (TraceError, WrongTypeError) if isinstance(error, kind)), OneLineError)
    return kind(f"model {number} ({type(model).__name__}): {error}")
