"""How unlike the tensors of a shape are that networks have: diversity of predicted parameters.

Source: GHN-3 (Knyazev et al., ICML 2023), table 9: the mean of 1 − |cos| over pairs of tensors of equal shape;
of trained weights after their channels are matched (Hungarian method), as these come in any order.

Legend: n tensors; O output channels, I input channels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ghn.analysis.config import TRAINED
from ghn.analysis.networks import Batch, Networks
from ghn.analysis.records import Record, records
from ghn.common.modules import named_parameters
from ghn.common.text import without_nan
from ghn.zoo import build_model

SHAPES = ("64x3x7x7", "256x256x3x3", "1024")
"""Those of table 9. A single number means the most frequent shape with so many output channels, as the paper's copy at
hand does not say all of it."""

MOST = 200
"""Tensors of a shape that are compared: 20,000 pairs."""

MOST_MATCHED = 24
"""The same where channels are matched, 276 pairs: one of 1024 channels takes a second or two."""

IMAGE_CHANNELS = 3

ROUNDS = 3
"""Of matching outputs, then inputs."""


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """How unlike tensors of a shape are.

    Attributes:
        shape: E.g. `64x3x7x7`.
        asked: As it was asked for, e.g. `1024`.
        start: Where the tensors come from.
        mean: Mean of 1 − |cos| over all pairs, 0..1; NaN where there are fewer than two tensors.
        whole: The mean over the whole matrix, in which each tensor meets itself at 0 as well.
        tensors: Their number.
        networks: That have any.
        matched: Whether channels were matched.
    """

    shape: str
    asked: str
    start: str
    mean: float
    whole: float
    tensors: int
    networks: int
    matched: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return without_nan(asdict(self))


def parsed(shape: str) -> tuple[int, ...]:
    """The numbers of a shape.

    Raises:
        ValueError: If it is none.
    """
    try:
        sizes = tuple(int(part) for part in shape.lower().split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{shape!r} is no shape: write 256x256x3x3, or 1024 for the most frequent one of 1024 outputs")
    return sizes


def chosen_shapes(networks: Networks, asked: Sequence[str] | None = None) -> dict[str, tuple[int, ...]]:
    """What is asked for, with the shape that it means.

    Args:
        networks: Whose tensors are looked at.
        asked: E.g. `256x256x3x3`, or `1024`; None for those of table 9 that the networks have, or, where they have
            none, the most frequent ones.

    Raises:
        ValueError: If it is no shape, or no network has a tensor of it.
    """
    wanted = {one: parsed(one) for one in (SHAPES if asked is None else asked)}
    frequent = _frequencies(networks)
    found, absent = {}, []
    for one, sizes in wanted.items():
        those = [shape for shape in frequent if _is_meant(shape, sizes)]
        if those:
            found[one] = max(those, key=lambda shape: (frequent[shape], shape))
        else:
            absent.append(one)
    most = [_text(shape) for shape, _ in frequent.most_common() if len(shape) > 1][: len(SHAPES)]
    if asked is not None and absent:
        raise ValueError(
            f"no network has a weight of shape {absent[0]}; the most frequent are {', '.join(most) or 'none'}"
        )
    return found or {one: parsed(one) for one in most}


def _is_meant(shape: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    """A single number means any weight with so many outputs."""
    return shape[0] == sizes[0] if len(sizes) == 1 < len(shape) else shape == sizes and len(sizes) > 1


def _frequencies(networks: Networks) -> Counter[tuple[int, ...]]:
    """How many tensors of each shape the networks have; those that cannot be built have none."""
    frequent: Counter[tuple[int, ...]] = Counter()
    for candidate in networks.candidates:
        try:
            # Without numbers: only shapes are asked for.
            model = candidate.bare if candidate.kind == "split" else build_model(networks.request(candidate)).model
        except Exception:  # whatever a model of others raises: its record says so
            continue
        frequent.update(tuple(parameter.shape) for parameter in named_parameters(model).values())
        candidate.forget()
    return frequent


def diversity(
    networks: Networks,
    shapes: Sequence[str] | None = None,
    *,
    matched: Sequence[str] = (TRAINED,),
    folder: str | Path | None = None,
    progress: Callable[[Record], None] | None = None,
) -> list[Diversity]:
    """How unlike the tensors of each shape are, for each start.

    Args:
        networks: Whose tensors.
        shapes: See `chosen_shapes`.
        matched: Starts whose channels are matched first.
        folder: See `ghn.analysis.records.records`.
        progress: Likewise.

    Raises:
        ValueError: See `chosen_shapes`; or if every network failed.
    """
    meant = chosen_shapes(networks, shapes)
    wanted = sorted(set(meant.values()))

    def measure(model: nn.Module, batch: Batch) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        tensors = {
            name: parameter.detach().float().cpu().clone()
            for name, parameter in named_parameters(model).items()
            if tuple(parameter.shape) in wanted
        }
        return {"counts": {_text(shape): sum(t.shape == shape for t in tensors.values()) for shape in wanted}}, tensors

    # Records of version 0.2.0 are of networks that began with the same random numbers.
    settings = {"shapes": wanted, "seeds": "by network"}
    found = list(records(networks, "diversity", measure, settings=settings, folder=folder, progress=progress))
    if all(record.error is not None for record in found):
        raise ValueError(f"no network could be looked at; {found[0].model} from {found[0].start}: {found[0].error}")
    rows = []
    for asked, shape in meant.items():
        for start in networks.config.starts:
            those = [
                (record.model, tensor)
                for record in found
                if record.start == start
                for tensor in record.tensors.values()
                if tuple(tensor.shape) == shape
            ]
            rows.append(_row(asked, shape, start, those, start in matched))
    return rows


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _row(asked: str, shape: tuple[int, ...], start: str, those: list[tuple[str, Tensor]], matched: bool) -> Diversity:
    # Of too many, some of all networks.
    count = min(MOST_MATCHED if matched else MOST, len(those))
    places = np.unique(np.linspace(0, len(those) - 1, count).round().astype(int))
    chosen = [those[place] for place in places] if those else []
    distances = distances_between([tensor for _, tensor in chosen], matched=matched)
    n = len(chosen)
    pairs = distances[np.triu_indices(n, 1)]
    return Diversity(
        shape=_text(shape),
        asked=asked,
        start=start,
        mean=float(pairs.mean()) if len(pairs) else math.nan,
        whole=float(distances.mean()) if n else math.nan,
        tensors=n,
        networks=len({model for model, _ in chosen}),
        matched=matched,
    )


def distances_between(tensors: Sequence[Tensor], *, matched: bool = False) -> NDArray[np.float64]:
    """1 − |cos| of every pair, (n, n); 1 where a tensor is zero, but 0 to itself.

    Args:
        tensors: Of one shape.
        matched: Permute the channels of the second of each pair first, so that it is as like the first as can be.
    """
    n = len(tensors)
    if not n:
        return np.zeros((0, 0))
    flat = torch.stack([tensor.double().flatten() for tensor in tensors])
    flat = flat / flat.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    if matched:
        unit = [row.view(tensors[0].shape) for row in flat]
        cosines = torch.eye(n, dtype=torch.float64)
        for i in range(n):
            for j in range(i + 1, n):
                cosines[i, j] = cosines[j, i] = (unit[i] * match(unit[i], unit[j])).sum()
    else:
        cosines = flat @ flat.T
    distances = (1 - cosines.abs().clamp(max=1)).numpy()
    np.fill_diagonal(distances, 0.0)
    return distances


def match(first: Tensor, second: Tensor, *, rounds: int = ROUNDS) -> Tensor:
    """The second tensor with its channels permuted so that its product with the first is as large as can be.

    Output channels are assigned by the Hungarian method, exactly; then input channels, if they are not those of images,
    and so on in turn while that helps: the joint optimum of both is not known to be reached.

    Args:
        first: (O, I, ...).
        second: Of the same shape.
        rounds: Most turns.
    """
    inputs = first.dim() > 1 and first.shape[1] > IMAGE_CHANNELS
    best = -math.inf
    for _ in range(rounds if inputs else 1):
        second = second[_assigned(first, second)]
        if inputs:
            second = second.transpose(0, 1)[_assigned(first.transpose(0, 1), second.transpose(0, 1))].transpose(0, 1)
        product = float((first * second).sum())
        if product <= best + 1e-12:
            break
        best = product
    return second


def _assigned(first: Tensor, second: Tensor) -> Tensor:
    """Which of the second's first axis goes to each place of the first's."""
    gains = first.flatten(1) @ second.flatten(1).T if first.dim() > 1 else first[:, None] * second[None]
    _, columns = linear_sum_assignment(gains.numpy(), maximize=True)
    return torch.from_numpy(columns)
