"""Which parameters are decoded together: the grouping of a batch's predictable tensors.

Legend: N nodes of all graphs together, n parameters of a group, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ghn.graph.computational_graph import ParameterSpec
from ghn.graph.reasons import Reason
from ghn.hypernet.config import GHNConfig
from ghn.hypernet.fit import KernelFit, VectorFit, fit_of
from ghn.hypernet.keep import HeadOption, classes_of, reason_to_keep
from ghn.hypernet.sliced_linear import Crop


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelMember:
    """One kernel of a group.

    Attributes:
        graph: Index of its graph in the batch.
        row: Row of its node among the N node states.
        fit: How it is decoded.
    """

    graph: int
    row: int
    fit: KernelFit


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorMember:
    """One vector of a group.

    Attributes:
        graph: Index of its graph in the batch.
        row: Row of its node among the N node states.
        fit: How it is decoded.
    """

    graph: int
    row: int
    fit: VectorFit


@dataclass(frozen=True, kw_only=True)
class KernelGroup:
    """Kernels that need the same crop, those of equal full shape side by side.

    Attributes:
        crop: What the decoder produces.
        head: Whether the classification head's layer follows.
        members: The n kernels.
    """

    crop: Crop
    head: bool
    members: tuple[KernelMember, ...]

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) row of each member's node."""
        return np.array([member.row for member in self.members], dtype=np.int64)

    @property
    def scales(self) -> NDArray[np.float32]:
        """(n,) factor of each member."""
        return np.array([member.fit.scale for member in self.members], dtype=np.float32)

    def runs(self) -> list[tuple[KernelFit, tuple[KernelMember, ...]]]:
        """Members of equal full shape, with the fit of the first."""
        grouped = groupby(self.members, key=lambda member: member.fit.shape)
        return [(members[0].fit, members) for members in (tuple(run) for _, run in grouped)]

    def chunks(self, elements: int) -> list[KernelGroup]:
        """The group in parts whose decoded kernels have at most `elements` elements together (or are single)."""
        size = max(1, elements // self.crop.elements)
        if len(self.members) <= size:
            return [self]
        starts = range(0, len(self.members), size)
        return [replace(self, members=self.members[start : start + size]) for start in starts]


@dataclass(frozen=True, kw_only=True)
class VectorGroup:
    """Vectors from the same row of the 1-D decoder.

    Attributes:
        row: 0 for norm weights, 1 for biases.
        head: Whether the classification head's layer follows.
        members: The n vectors.
    """

    row: int
    head: bool
    members: tuple[VectorMember, ...]

    @property
    def rows(self) -> NDArray[np.int64]:
        """(n,) row of each member's node."""
        return np.array([member.row for member in self.members], dtype=np.int64)

    @property
    def sizes(self) -> list[int]:
        """Number of elements of each member."""
        return [member.fit.size for member in self.members]

    def gather_index(self, length: int) -> NDArray[np.int64]:
        """Where each element of each member, one after the other, stands among the (n, `length`) decoded values."""
        sizes = np.array(self.sizes)
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        return np.repeat(np.arange(len(sizes)) * length, sizes) + within % length


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to decode for a batch.

    Attributes:
        config: The hypernetwork's.
        head: How a head with another number of classes is treated.
        kernels: Groups of kernels.
        vectors: Groups of vectors.
        tables: For each graph, the fits with random leading rows, in the order of its parameters.
        kept: For each graph, parameters that are not decoded after all, with the reason.
    """

    config: GHNConfig
    head: HeadOption
    kernels: tuple[KernelGroup, ...]
    vectors: tuple[VectorGroup, ...]
    tables: tuple[tuple[KernelFit, ...], ...]
    kept: tuple[dict[str, Reason], ...]

    @classmethod
    def of(
        cls,
        parameters: Sequence[Mapping[str, ParameterSpec]],
        sizes: Sequence[int],
        config: GHNConfig,
        head: HeadOption = "keep",
    ) -> Plan:
        """Group the predictable tensors of a batch.

        Args:
            parameters: For each graph, its tensors by name.
            sizes: Number of nodes of each graph.
            config: The hypernetwork's.
            head: Whether a head with other than C classes is kept, or decoded as an ordinary weight.

        Raises:
            ValueError: For another `head` option.
        """
        if head not in ("keep", "predict"):
            raise ValueError(f"head must be 'keep' or 'predict', not {head!r}")
        kernels: list[KernelMember] = []
        vectors: list[VectorMember] = []
        kept: list[dict[str, Reason]] = [{} for _ in parameters]
        starts = np.cumsum(sizes) - sizes
        for graph, (specs, start) in enumerate(zip(parameters, starts.tolist(), strict=True)):
            for name, spec in specs.items():
                reason = reason_to_keep(spec, config, head)
                if reason:
                    kept[graph][name] = reason
                    continue
                fit = fit_of(spec, config, head=spec.head and classes_of(spec) == config.num_classes)
                row = start + spec.node
                if isinstance(fit, KernelFit):
                    kernels.append(KernelMember(graph=graph, row=row, fit=fit))
                else:
                    vectors.append(VectorMember(graph=graph, row=row, fit=fit))
        tables = [
            tuple(member.fit for member in kernels if member.graph == graph and member.fit.leading)
            for graph in range(len(parameters))
        ]
        return cls(
            config=config,
            head=head,
            kernels=_kernel_groups(kernels),
            vectors=_vector_groups(vectors),
            tables=tuple(tables),
            kept=tuple(kept),
        )


def _kernel_groups(members: list[KernelMember]) -> tuple[KernelGroup, ...]:
    groups: dict[tuple[Crop, bool], list[KernelMember]] = {}
    for member in members:
        groups.setdefault((member.fit.crop, member.fit.head), []).append(member)
    return tuple(
        KernelGroup(crop=crop, head=head, members=tuple(sorted(group, key=lambda member: member.fit.shape)))
        for (crop, head), group in groups.items()
    )


def _vector_groups(members: list[VectorMember]) -> tuple[VectorGroup, ...]:
    groups: dict[tuple[int, bool], list[VectorMember]] = {}
    for member in members:
        groups.setdefault((member.fit.row, member.fit.head), []).append(member)
    return tuple(VectorGroup(row=row, head=head, members=tuple(group)) for (row, head), group in groups.items())
