"""Decoding without gradients, straight into given tensors.

Legend: N nodes of all graphs together, D hidden size, n parameters of a group, o and i channels of a crop, kh × kw its
window (h, w in names, A = kh·kw), K = 8D, r random rows of c channels, V elements of all vectors of a group, e of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ghn.common.errors import OneLineError
from ghn.common.private_torch import foreach_norm
from ghn.common.sharded import is_sharded, own_part
from ghn.common.tensors import memory, without_class
from ghn.graph.computational_graph import ParameterSpec
from ghn.graph.reasons import Reason
from ghn.hypernet.fit import KernelFit, interpolate, leading_rows, squared_norms, write_kernel, write_vector
from ghn.hypernet.keep import reason_not_to_write
from ghn.hypernet.plan import KernelGroup, KernelMember, Plan, VectorGroup, VectorMember
from ghn.hypernet.sliced_linear import bundles

CHUNK_ELEMENTS = 2**25
"""Groups whose decoded kernels have more elements (128 MiB) are decoded in parts."""

HELD_ELEMENTS = 2**27
"""Decoded kernels are all held while they are checked, up to so many elements (512 MiB)."""

Run = tuple[KernelFit, tuple[KernelMember, ...], Tensor]
"""Kernels of equal full shape, decoded but not tiled: the fit of the first, all, and (n, o, i, kh, kw)."""


class Decoders(Protocol):
    """From node states to decoded values; a hypernetwork is one."""

    def kernel_features(self, states_ND: Tensor, groups: Sequence[KernelGroup]) -> list[Tensor]:
        """All layers but the last: (kh·kw, n, 8D) for each group."""

    def decode_kernels(self, features_AnK: Sequence[Tensor], groups: Sequence[KernelGroup]) -> list[Tensor]:
        """The last layer: kernels (n, o, i, kh, kw) of each group, scaled, not yet interpolated or tiled."""

    def decode_vectors(self, states_ND: Tensor, group: VectorGroup) -> Tensor:
        """All vectors of a group, activated and tiled, one after the other: (V,)."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `GHN.decode_into` did.

    Attributes:
        names: For each graph, the names of the tensors that were written.
        kept: For each graph, parameters that were left alone, with the reason.
        norms: For each graph, the Euclidean norm of all that was written, random rows excepted.
        seconds: Wall-clock seconds by part: encoding, decoding, writing.
    """

    names: tuple[tuple[str, ...], ...]
    kept: tuple[Mapping[str, Reason], ...]
    norms: tuple[float, ...]
    seconds: Mapping[str, float]

    @property
    def total_norm(self) -> float:
        """Euclidean norm of what was written for all graphs together."""
        return math.hypot(*self.norms)


class PredictionError(OneLineError):
    """A prediction that cannot be written.

    Attributes:
        graph: Index of its graph in the batch.
    """

    def __init__(self, message: str, graph: int) -> None:
        super().__init__(message)
        self.graph = graph


class Writer:
    """Decodes a batch, checks what it decoded, then writes it.

    All decoded (not yet tiled) kernels are held at once, which is little: none has more than O_max · I_max channels.
    Where even that is more than `HELD_ELEMENTS`, everything is decoded twice, once to be checked and once to be
    written, so that a value that is not finite leaves all destinations as they were.

    Args:
        decoders: The hypernetwork.
        states_ND: (N, D) node states, float32.
        plan: What to decode.
        destinations: For each graph, the tensors to write by name.
    """

    def __init__(
        self, decoders: Decoders, states_ND: Tensor, plan: Plan, destinations: Sequence[Mapping[str, Tensor]]
    ) -> None:
        self.decoders = decoders
        self.plan = plan
        self.destinations = destinations
        self.groups = [part for group in plan.kernels for part in group.chunks(CHUNK_ELEMENTS)]
        self.features_AnK = decoders.kernel_features(states_ND, self.groups)
        self.vectors_V = [decoders.decode_vectors(states_ND, group) for group in plan.vectors]
        elements = sum(len(group.members) * group.crop.elements for group in self.groups)
        self.held = list(self._decode()) if elements <= HELD_ELEMENTS else None

    def _decode(self) -> Iterator[Run]:
        for bundle in bundles([group.crop for group in self.groups], [len(group.members) for group in self.groups]):
            groups = [self.groups[index] for index in bundle]
            cores_noihw = self.decoders.decode_kernels([self.features_AnK[index] for index in bundle], groups)
            for group, core_noihw in zip(groups, cores_noihw, strict=True):
                yield from _split(group, core_noihw)

    def _runs(self) -> Iterator[Run]:
        return self._decode() if self.held is None else iter(self.held)

    def check(self) -> tuple[float, ...]:
        """Check that every value is finite and within the range of its destination's type.

        Returns:
            For each graph, the Euclidean norm of its parameters.

        Raises:
            PredictionError: Otherwise, naming the parameter.
        """
        totals = [0.0] * len(self.destinations)
        for fit, members, part_noihw in self._runs():
            squares = squared_norms(part_noihw, fit).tolist()
            for member, core_oihw, square in zip(members, part_noihw, squares, strict=True):
                limit = torch.finfo(self._destination(member.graph, member.fit.spec).dtype).max
                # No element is larger than the norm, so that elements are looked at only where the norm is too large.
                if not math.sqrt(square) <= limit:
                    _check_range(core_oihw, limit, member)
                totals[member.graph] += square
        for group, values_V in zip(self.plan.vectors, self.vectors_V, strict=True):
            values = values_V.split(group.sizes)
            norms = torch.stack(foreach_norm(values_V.float().split(group.sizes))).tolist()
            for vector, values_e, norm in zip(group.members, values, norms, strict=True):
                if not math.isfinite(norm):
                    _check_range(values_e, torch.finfo(values_V.dtype).max, vector)
                totals[vector.graph] += norm * norm
        return tuple(map(math.sqrt, totals))

    def write(self, seed: int) -> None:
        """Tile everything into its destination; `seed` governs the random rows of position tables."""
        leading = leading_rows(self.plan.tables, seed)
        for _, members, part_noihw in self._runs():
            for member, core_oihw in zip(members, part_noihw, strict=True):
                spec = member.fit.spec
                rows_rc = leading[member.graph].get(spec.name)
                with _whole(self._destination(member.graph, spec)) as whole:
                    write_kernel(core_oihw, member.fit, whole, rows_rc)
        for group, values_V in zip(self.plan.vectors, self.vectors_V, strict=True):
            for vector, values_e in zip(group.members, values_V.split(group.sizes), strict=True):
                with _whole(self._destination(vector.graph, vector.fit.spec)) as whole:
                    write_vector(values_e, vector.fit, whole)

    def _destination(self, graph: int, spec: ParameterSpec) -> Tensor:
        return self.destinations[graph][spec.name]


@contextmanager
def _whole(destination: Tensor) -> Iterator[Tensor]:
    """The memory to write a whole parameter to; of a sharded one the part of this process is copied afterwards."""
    held = memory(destination)
    assert held is not None, "check_destinations refuses those without plain memory"
    if not is_sharded(destination):
        yield held
        return
    whole = torch.empty(destination.shape, dtype=held.dtype, device=held.device)
    yield whole
    if held.numel():
        held.copy_(own_part(whole, destination))


def _split(group: KernelGroup, core_noihw: Tensor) -> Iterator[Run]:
    runs = group.runs()
    parts_noihw = core_noihw.split([len(members) for _, members in runs])
    for (fit, members), part_noihw in zip(runs, parts_noihw, strict=True):
        yield fit, members, interpolate(part_noihw, fit)


def _check_range(values: Tensor, limit: float, member: KernelMember | VectorMember) -> None:
    largest, name = float(values.abs().max()), member.fit.spec.name
    if not math.isfinite(largest):
        raise PredictionError(
            f"the prediction for {name} is not finite; the hypernetwork's weights may be damaged", member.graph
        )
    if largest > limit:
        raise PredictionError(
            f"the prediction for {name} ({largest:.3g}) is out of its type's range (±{limit:.3g})", member.graph
        )


def check_destinations(
    parameters: Sequence[Mapping[str, ParameterSpec]], destinations: Sequence[Mapping[str, Tensor]]
) -> None:
    """Check that every tensor can take its prediction.

    Raises:
        ValueError: If a graph has no destinations, or a tensor is no predictable parameter, has another shape, or
            cannot be written to: it is on the meta device, of a type, class or layout that is not predicted, or has no
            memory of its own for every element.
    """
    if len(parameters) != len(destinations):
        raise ValueError(f"{len(parameters)} graphs need as many dicts of destinations, not {len(destinations)}")
    for specs, tensors in zip(parameters, destinations, strict=True):
        for name, tensor in tensors.items():
            if name not in specs:
                raise ValueError(f"destination {name!r} is no predictable parameter of its graph")
            if reason := reason_not_to_write(tensor):
                raise ValueError(f"destination {name!r} cannot be written: {reason}")
            shape = tuple(without_class(tensor).shape)
            if shape != tuple(specs[name].shape):
                raise ValueError(f"destination {name!r} has shape {shape}, not {specs[name].shape}")
            if without_class(tensor).is_meta:
                raise ValueError(f"destination {name!r} is on the meta device, which has no memory to write to")
