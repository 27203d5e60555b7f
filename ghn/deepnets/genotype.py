"""What defines a network of DeepNets-1M: two cells in the style of DARTS and the arguments of the network around them.

Source: Knyazev et al., "Parameter Prediction for Unseen Deep Architectures", NeurIPS 2021, section 3.2 and appendix A.
Field names of `NetworkArguments` are those of the published metadata, so that its entries are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ghn.common.text import said, shown
from ghn.deepnets.operations.table import OPERATIONS

Edge = tuple[str, int]
"""An operation and the state it reads: 0 and 1 are the cell's inputs, 2, 3, … its intermediate nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genotype:
    """The two cells: edges 2k and 2k + 1 are added to give state k + 2, and some states are concatenated.

    Attributes:
        normal: Edges of the normal cell.
        normal_concat: States whose concatenation is the normal cell's output, ascending.
        reduce: Edges of the reduction cell.
        reduce_concat: The same for the reduction cell.
    """

    normal: tuple[Edge, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Edge, ...]
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_cell("normal", self.normal, self.normal_concat)
        _check_cell("reduce", self.reduce, self.reduce_concat)

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations of both cells, the normal cell's first."""
        return tuple(name for name, _ in self.normal + self.reduce)

    @property
    def is_vit(self) -> bool:
        """Whether attention occurs, which makes the whole network a vision transformer."""
        return "msa" in self.operations

    @classmethod
    def from_dict(cls, cells: Mapping[str, Any]) -> Genotype:
        """Read an entry of the published metadata: lists of [operation, state] and lists of states."""
        if not isinstance(cells, Mapping):
            raise ValueError(f"a genotype must be a dict of two cells, not {said(cells)}")
        missing = [name for name in cls.__dataclass_fields__ if name not in cells]
        if missing:
            raise ValueError(f"the genotype has no {', '.join(missing)}")
        return cls(
            normal=_read_edges(cells["normal"]),
            normal_concat=_read_states(cells["normal_concat"]),
            reduce=_read_edges(cells["reduce"]),
            reduce_concat=_read_states(cells["reduce_concat"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, as in the published metadata."""
        return {
            "normal": [list(edge) for edge in self.normal],
            "normal_concat": list(self.normal_concat),
            "reduce": [list(edge) for edge in self.reduce],
            "reduce_concat": list(self.reduce_concat),
        }


_MOST = MappingProxyType(
    {
        "n_cells": 1000,
        "C": 2**16,
        "C_mult": 16,
        "ks": 255,
        "imagenet_stride": 64,
        "fc_layers": 100,
        "fc_dim": 2**16,
    }
)
"""Far more than any network has: a damaged file must not ask for years of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkArguments:
    """Everything that defines a network besides the number of classes and the image size.

    Attributes:
        genotype: The two cells.
        n_cells: Number of cells; those at n/3 and 2n/3 (rounded down) are reduction cells.
        C: Channels of the first cell's operations.
        C_mult: Factor by which a reduction cell multiplies the channels.
        ks: Kernel side of the stem's first convolution, odd.
        stem_type: 0 one convolution; 1 three convolutions, as is usual for ImageNet. Vision transformers ignore it.
        stem_pool: Whether stem type 0 ends in a max pooling. Vision transformers ignore it.
        imagenet_stride: Stride of stem type 0 on large images.
        preproc: Whether both inputs of a cell pass a 1×1 convolution; only vision transformers do without.
        norm: "bnorm" for batch normalisation, None for none.
        glob_avg: Global average pooling before the classifier, else the feature map is flattened.
        fc_layers: Fully connected layers, the last one with one output a class.
        fc_dim: Width of the others.
    """

    genotype: Genotype
    n_cells: int
    C: int = 32
    C_mult: int = 1
    ks: int = 3
    stem_type: int = 0
    stem_pool: bool = False
    imagenet_stride: int = 4
    preproc: bool = True
    norm: str | None = "bnorm"
    glob_avg: bool = True
    fc_layers: int = 1
    fc_dim: int = 256

    def __post_init__(self) -> None:
        # Exact types: in files made by hand "False" would count as true, and true as an integer.
        for name, most in _MOST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name} must be an integer from 1 to {most}, not {said(value)}")
        for name in ("stem_pool", "preproc", "glob_avg"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, not {said(getattr(self, name))}")
        if self.ks % 2 == 0:
            raise ValueError(f"ks, the side of the stem's kernel, must be odd, not {self.ks}")
        if type(self.stem_type) is not int or self.stem_type not in (0, 1):
            raise ValueError(f"stem_type must be 0 or 1, not {said(self.stem_type)}")
        if self.norm not in ("bnorm", None):
            raise ValueError(f'norm must be "bnorm" or None, not {said(self.norm)}')
        if self.C % 2:
            raise ValueError(f"C must be even (some operations halve the channels), not {self.C}")
        if self.is_vit and self.C % 8:
            raise ValueError(f"C must be a multiple of the 8 attention heads, not {self.C}")
        if not self.preproc:
            self._check_without_preprocessing()

    def _check_without_preprocessing(self) -> None:
        if not self.is_vit:
            raise ValueError(
                "preproc=False is for vision transformers: other cells must halve their inputs' resolution"
            )
        if self.C_mult > 1 or len(self.genotype.normal_concat) > 1 or len(self.genotype.reduce_concat) > 1:
            raise ValueError("preproc=False needs C_mult=1 and cells of one output state: nothing adapts the channels")

    @property
    def is_vit(self) -> bool:
        """Whether the network is a vision transformer."""
        return self.genotype.is_vit

    @classmethod
    def from_dict(cls, net_args: Mapping[str, Any]) -> NetworkArguments:
        """Read an entry of the published metadata.

        Args:
            net_args: Arguments by name, `genotype` a dict; what the metadata record besides (`num_nodes`,
                `num_params`, …) is ignored, and what they leave out has this class's default.

        Raises:
            ValueError: When `genotype` or `n_cells` is missing, or a value cannot be.
        """
        if not isinstance(net_args, Mapping):
            raise ValueError(f"the network arguments must be a dict, not {said(net_args)}")
        for name in ("genotype", "n_cells"):
            if name not in net_args:
                raise ValueError(f"the network arguments have no {name!r}; they have {shown(list(net_args), 300)}")
        genotype = net_args["genotype"]
        if not isinstance(genotype, Genotype):
            genotype = Genotype.from_dict(genotype)
        known = {name: net_args[name] for name in cls.__dataclass_fields__ if name in net_args and name != "genotype"}
        return cls(genotype=genotype, **known)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the published metadata."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "genotype"}
        return {**fields, "genotype": self.genotype.to_dict()}


def reduction_cells(n_cells: int) -> frozenset[int]:
    """Indices of the reduction cells."""
    return frozenset((n_cells // 3, 2 * n_cells // 3))


def _read_edges(edges: Any) -> tuple[Edge, ...]:
    if not _is_list(edges) or not all(_is_list(edge) and len(edge) == 2 for edge in edges):
        raise ValueError(f"a cell must be a list of pairs [operation, state], not {said(edges)}")
    return tuple((name, state) for name, state in edges)


def _read_states(states: Any) -> tuple[int, ...]:
    if not _is_list(states):
        raise ValueError(f"the states of a cell's output must be a list of integers, not {said(states)}")
    return tuple(states)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _check_cell(cell: str, edges: tuple[Edge, ...], concat: tuple[int, ...]) -> None:
    if not edges or len(edges) % 2:
        raise ValueError(f"the {cell} cell must have two edges for each intermediate node, not {len(edges)} edges")
    for position, (name, state) in enumerate(edges):
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation {said(name)} in the {cell} cell; there are {', '.join(OPERATIONS)}")
        if type(state) is not int or not 0 <= state < position // 2 + 2:
            raise ValueError(
                f"edge {position} of the {cell} cell reads state {said(state)}, which does not come before it"
            )
    states = range(2, len(edges) // 2 + 2)
    known = all(type(state) is int and state in states for state in concat)
    if not concat or not known or list(concat) != sorted(set(concat)):
        raise ValueError(
            f"{cell}_concat must name some of the states {states.start} to {states.stop - 1}, not {said(list(concat))}"
        )
