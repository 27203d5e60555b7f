"""What is known of each tensor while a record is read: which nodes feed it, which parameters it was made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from enum import Enum, auto
from typing import cast

from ghn.graph.unions import ordered, union

NONE: frozenset[int] = frozenset()


def gathered(sets: Iterable[Set[int]]) -> Set[int]:
    """The union of sets of nodes."""
    return cast("Set[int]", union(sets, frozenset))


class Stage(Enum):
    """How far a product of features or a softmax that is written out has come."""

    NONE = auto()
    PRODUCT = auto()  # of two feature tensors, element by element
    WEIGHTED = auto()  # likewise of features and a softmax's weights
    EXPONENTIAL = auto()  # exponentials, or sums of them
    NORMALISER = auto()  # the logarithm of a sum of exponentials
    LOGARITHM = auto()  # logarithms of a softmax's weights


@dataclass(frozen=True, slots=True)
class Flow:
    """Provenance of one tensor.

    Attributes:
        carriers: Nodes whose output it is, through operations that are no primitives.
        data: Whether it depends on the model's inputs.
        leaves: Parameters that it was computed from, where no node and no input lies between.
        pure: Whether it is a view (or cast) of one parameter or of a part of it.
        gathered: Whether elements of a parameter were picked, repeated or interpolated.
        score: Whether it holds products of two feature tensors, as attention logits do.
        attention: Whether it holds a softmax's weights.
        statistic: Whether it is a mean, norm or variance of features along some axis.
        normalised: Whether it is features divided by such a statistic of theirs.
        norm: The normalisation node that it has just left, for the bias that may follow.
        pools: Global pooling nodes on the way.
        processed: Whether it has passed more than reshapes, averages and a softmax since its last node.
        stage: What is still missing from a product of features or a softmax.
        summed: Number of elements of features that each of its own is the sum of; 0 if it is none.
        mixed: Parameters that data has mixed or modulated to a weight, which this is on the way to be.
    """

    carriers: Set[int] = NONE
    data: bool = False
    leaves: Collection[str] = ()
    pure: bool = False
    gathered: bool = False
    score: bool = False
    attention: bool = False
    statistic: bool = False
    normalised: bool = False
    norm: int | None = None
    pools: Set[int] = NONE
    processed: bool = False
    stage: Stage = Stage.NONE
    summed: int = 0
    mixed: Collection[str] = ()

    @property
    def runs(self) -> bool:
        """Whether features run through it."""
        return self.data or bool(self.carriers)

    @property
    def is_parameter(self) -> bool:
        """Whether it was made from parameters alone."""
        return bool(self.leaves) and not self.runs

    @property
    def _is_joined(self) -> bool:
        """Whether features run through it and nothing is known that is not of what joins several."""
        if not self.runs or self.leaves or self.mixed or self.norm is not None:
            return False
        return not (self.pure or self.gathered or self.summed)


CONSTANT = Flow()


def join(flows: Iterable[Flow], *, carries: bool = True) -> Flow:
    """Provenance of what an operation that is no primitive makes of several tensors.

    Args:
        flows: Provenance of its inputs.
        carries: Whether its result can hold features (integers and masks cannot).
    """
    flows = [flow for flow in flows if flow is not CONSTANT]
    if not flows:
        return CONSTANT
    if len(flows) == 1 and carries and flows[0]._is_joined:
        return flows[0]
    running = [flow for flow in flows if flow.runs]
    if not running:
        leaves = union((flow.leaves for flow in flows), ordered)
        return Flow(leaves=leaves, gathered=any(flow.gathered for flow in flows)) if leaves else CONSTANT
    if not carries:
        return Flow(data=any(flow.data for flow in running))
    # Masks decide over features, but do not make them anything else.
    kinds = [flow for flow in running if flow.carriers] or running
    stages = {flow.stage for flow in kinds}
    return Flow(
        carriers=gathered(flow.carriers for flow in kinds),
        data=any(flow.data for flow in running),
        score=all(flow.score for flow in kinds),
        attention=all(flow.attention for flow in kinds),
        statistic=all(flow.statistic for flow in kinds),
        normalised=len(kinds) == 1 and kinds[0].normalised,
        pools=gathered(flow.pools for flow in kinds),
        stage=stages.pop() if len(stages) == 1 else Stage.NONE,
        processed=any(flow.processed for flow in kinds),
    )
