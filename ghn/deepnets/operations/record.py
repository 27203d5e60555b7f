"""What every operation of a cell answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from ghn.deepnets.operations.graph_builder import GraphBuilder
from ghn.deepnets.operations.layers import Norm


@dataclass(frozen=True, kw_only=True)
class Operation(ABC):
    """What an edge of a cell computes; a map of some side becomes one of side / stride, rounded up.

    Attributes:
        name: Its name in genotypes.
        learnable: Whether it has parameters at stride 1.
        large: Whether it dominates a network's size; a cell has at most one such operation.
        strides: Strides that it may have; none at all if it gives nothing.
    """

    name: str
    learnable: bool = True
    large: bool = False
    strides: tuple[int, ...] = (1, 2)

    @property
    def gives(self) -> bool:
        """Whether there is a result; an edge without one is left out."""
        return bool(self.strides)

    @abstractmethod
    def parameters(self, channels: int, stride: int, has_norm: bool) -> int:
        """Elements of all its parameters."""

    @abstractmethod
    def multiply_adds(self, channels: int, stride: int, side: int) -> int:
        """Multiply-adds for one image whose map has the given side; see `ghn.deepnets.cost` for what counts."""

    @abstractmethod
    def module(self, channels: int, stride: int, norm: Norm) -> nn.Module:
        """The module: (images, channels, height, width) to the same with height and width divided by the stride."""

    @abstractmethod
    def nodes(self, builder: GraphBuilder, name: str, source: int | None, channels: int, stride: int) -> int | None:
        """Add its nodes to a graph, equal to those of tracing its module.

        Args:
            builder: The graph.
            name: The module's name in the network.
            source: Node that feeds it, None where the operation is unused: its parameters are then noted as kept.
            channels: Channels that come in and go out.
            stride: 1 or 2.

        Returns:
            The node that holds its result, None if it is unused or gives nothing.
        """


def halved(side: int, stride: int = 2) -> int:
    """Side of a map after a stride."""
    return -(-side // stride)
