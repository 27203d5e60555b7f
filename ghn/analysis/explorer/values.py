"""What is shown of a parameter's values: norm, moments and a histogram; and the values that starts give a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ghn.common.modules import named_buffers, named_parameters
from ghn.common.tensors import holds_reals, without_class
from ghn.hypernet.keep import reason_not_to_write
from ghn.initializers import create
from ghn.initializers.report import Batch

BINS = 32
"""Of a histogram."""

OWN = "own initialisation"
"""The start that is the model as it was given."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of one tensor.

    Attributes:
        norm: Euclidean norm.
        mean: Of the elements.
        std: Their standard deviation (of the population).
        least: The smallest one.
        most: The largest one.
        counts: Elements in each of `BINS` equal parts of [least, most]; empty where all are equal.
        strange: Elements that are not finite; they count nowhere else.
    """

    norm: float
    mean: float
    std: float
    least: float
    most: float
    counts: tuple[int, ...] = ()
    strange: int = 0


@dataclass(frozen=True, kw_only=True)
class StartValues:
    """The values that a start gave a model.

    Attributes:
        name: The start.
        values: By parameter; None for one that has no real numbers to look at (meta device, integers, no elements).
        kept: Names of the parameters that it left, with the reason.
        notes: What the start said, a line each.
    """

    name: str
    values: Mapping[str, Values | None]
    kept: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@torch.no_grad()
def values_of(tensor: Tensor) -> Values | None:
    """Norm, moments and histogram of a tensor on any device; None where it has no real numbers.

    Sums are those of float64, piece by piece, so that no copy of a large tensor is made.
    """
    if reason_not_to_write(tensor) is not None:
        return None
    plain = without_class(tensor.detach())
    if plain.is_meta or not plain.numel() or not holds_reals(plain.dtype):
        return None
    pieces = plain.reshape(-1).split(PIECE)
    finite = 0
    total = squares = 0.0
    least, most = math.inf, -math.inf
    for piece in pieces:
        good = _finite(piece)
        if good.numel():
            finite += good.numel()
            total += float(good.sum())
            squares += float(torch.linalg.vector_norm(good)) ** 2
            low, high = good.aminmax()
            least, most = min(least, float(low)), max(most, float(high))
    strange = plain.numel() - finite
    if not finite:
        return Values(norm=0.0, mean=0.0, std=0.0, least=0.0, most=0.0, strange=strange)
    mean = total / finite
    counts = torch.zeros(BINS, dtype=torch.int64)
    deviation = 0.0
    for piece in pieces:
        good = _finite(piece)
        deviation += float((good - mean).square_().sum())
        if most > least and good.numel():
            counts += torch.histc(good, BINS, least, most).long()
    return Values(
        norm=math.sqrt(squares),
        mean=mean,
        std=math.sqrt(deviation / finite),
        least=least,
        most=most,
        counts=tuple(counts.tolist()) if most > least else (),
        strange=strange,
    )


PIECE = 1 << 20
"""Elements that are looked at together."""


def _finite(piece: Tensor) -> Tensor:
    wide = piece.to(device="cpu", dtype=torch.float64)
    good = wide.isfinite()
    return wide if bool(good.all()) else wide[good]


def measured(model: nn.Module) -> dict[str, Values | None]:
    """Of every parameter of a model, by name."""
    return {name: values_of(parameter) for name, parameter in named_parameters(model).items()}


def own_values(model: nn.Module) -> StartValues:
    """Those that the model has."""
    return StartValues(name=OWN, values=measured(model))


def values_by_start(
    model: nn.Module, starts: Sequence[str], batches: Iterable[Batch] | None = None, *, seed: int = 0
) -> Iterator[StartValues]:
    """The values that each of some starts gives a model, which has its own again afterwards.

    Args:
        model: The model, with storage.
        starts: Chains of initialisers, as `ghn.initializers.create` takes them; each begins at the model's own values.
        batches: Images with labels, for starts that need some.
        seed: Governs what starts draw.

    Raises:
        ValueError: If there is no such start, or it cannot be made for the model.
    """
    given = None if batches is None else list(batches)
    for chain in [create(start) for start in starts]:
        with _values_kept(model):
            report = chain(model, given, seed=seed)
            yield StartValues(
                name=chain.name,
                values=measured(model),
                kept={name: str(reason) for name, reason in report.kept.items()},
                notes=report.notes,
            )


@contextmanager
def _values_kept(model: nn.Module) -> Iterator[None]:
    """Context after which parameters and buffers hold what they held."""
    tensors = [*named_parameters(model).values(), *named_buffers(model).values()]
    copies = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, copy in zip(tensors, copies, strict=True):
                tensor.copy_(copy)
