"""A forward pass in which every layer gives numbers that say which channel of which layer they are.

Whatever is between a projection and the product of attention (reshapes, permutations, splits, scales) then shows where
each channel goes, however the model is written.

Legend: B images, H heads, N tokens, K channels of a head, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from ghn.common.private_torch import OperatorMode, storage_address
from ghn.graph.record.trees import tensors_in
from ghn.initializers.watch import VIEWS

MATRIX, CONVOLUTION, PRODUCT = {"mm", "addmm"}, {"convolution"}, {"bmm", "baddbmm"}
SOFTMAX = {"_softmax", "_safe_softmax"}
COPIES = {"clone", "contiguous", "_to_copy"}

FOLLOWING = 2
"""Layers after an attention among which its output projection is looked for."""


class Code(Enum):
    """What layers give: always 1, the number of the channel, or the number of the layer, both from 1 on."""

    ONE = 0
    CHANNEL = 1
    LAYER = 2


@dataclass(kw_only=True)
class Use:
    """A weight as an operator takes it.

    Attributes:
        name: Of the parameter.
        matrix: (I, O), in the parameter's memory; None where a weight is no such matrix.
        source: What it was applied to, as a number that is equal for the same features.
        inputs: (I,) what it was applied to, where it follows an attention and all tokens are alike.
    """

    name: str
    matrix: Tensor | None
    source: int
    inputs: Tensor | None = None


@dataclass(kw_only=True)
class Products:
    """An attention softmax(Q Kᵀ) V.

    Attributes:
        query, key, value: (B·H, K), where all tokens are alike, else None.
        following: Places of the uses that may project its output.
    """

    query: Tensor | None
    key: Tensor | None
    value: Tensor | None
    following: list[int] = field(default_factory=list)


class Probe(OperatorMode):
    """Context of one forward pass.

    Args:
        weights: Of all layers, by name.
        code: What they give.

    Attributes:
        uses: In the order of the pass.
        attentions: In the order of the pass.
    """

    def __init__(self, weights: Mapping[str, Tensor], code: Code) -> None:
        super().__init__()
        self.code = code
        self.uses: list[Use] = []
        self.attentions: list[Products] = []
        self._names = {id(weight): name for name, weight in weights.items()}
        self._memory = {name: storage_address(weight) for name, weight in weights.items()}
        # Scores are products of queries and keys, shares are their softmax.
        self._scores: dict[int, tuple[Tensor, Tensor]] = {}
        self._shares: dict[int, tuple[Tensor, Tensor]] = {}
        self._sources: dict[int, int] = {}
        # Held, so that identities and addresses stay theirs.
        self._held: list[Any] = [list(weights.values())]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator, and replace what a layer computes."""
        result = func(*args, **(kwargs or {}))
        operator = func.overloadpacket.__name__
        given = list(tensors_in((args, kwargs or {})))
        weight = next((tensor for tensor in given if id(tensor) in self._names), None)
        if weight is not None:
            self._of_a_weight(operator, weight, given, result)
        elif operator in PRODUCT and len(given) >= 2:
            self._of_features(given[-2], given[-1], result)
        else:
            self._follow(operator, given, result)
        return result

    def _of_a_weight(self, operator: str, weight: Tensor, given: list[Tensor], result: Any) -> None:
        name = self._names[id(weight)]
        if len(given) == 1 and operator in VIEWS:
            for part in result if isinstance(result, (tuple, list)) else [result]:
                self._names[id(part)] = name
                self._held.append(part)
        elif operator in MATRIX | CONVOLUTION | PRODUCT and isinstance(result, Tensor):
            self._of_a_layer(operator, name, weight, given, result)

    def _of_a_layer(self, operator: str, name: str, weight: Tensor, given: list[Tensor], result: Tensor) -> None:
        # The bias of addmm comes first.
        data = given[-2] if operator in MATRIX else max(given, key=lambda tensor: (tensor is not weight, tensor.dim()))
        matrix = None
        if storage_address(weight) == self._memory[name]:
            if operator in MATRIX and weight is given[-1]:
                matrix = weight
            elif operator in CONVOLUTION and weight[0, 0].numel() == 1 and weight.shape[1] == data.shape[1]:
                matrix = weight.flatten(1).t() if weight.is_contiguous() else None
        self._held.append(data)
        address = storage_address(data)
        use = Use(name=name, matrix=matrix, source=self._sources.get(address, address))
        if self.attentions and len(self.attentions[-1].following) < FOLLOWING:
            self.attentions[-1].following.append(len(self.uses))
            tokens = data if operator in MATRIX else data.flatten(2).transpose(1, 2).flatten(0, 1)
            use.inputs = _alike(tokens[None]) if matrix is not None else None
            use.inputs = None if use.inputs is None else use.inputs[0]
        self.uses.append(use)
        if self.code is Code.ONE:
            result.fill_(1)
        elif matrix is None:
            # No channel has this number.
            result.zero_()
        elif self.code is Code.LAYER:
            result.fill_(len(self.uses))
        else:
            numbers = torch.arange(1, matrix.shape[1] + 1, device=result.device).to(result.dtype)
            result.copy_(numbers if operator in MATRIX else numbers.view(-1, *[1] * (result.dim() - 2)))

    def _of_features(self, one: Tensor, other: Tensor, result: Tensor) -> None:
        if id(one) in self._shares:
            self._attend(self._shares[id(one)], other)
        elif id(other) in self._shares:
            self._attend(self._shares[id(other)], one.transpose(1, 2))
        else:
            self._scores[id(result)] = one, other.transpose(1, 2)
            self._held.append(result)

    def _attend(self, scored: tuple[Tensor, Tensor], value: Tensor) -> None:
        query, key = scored
        self.attentions.append(Products(query=_alike(query), key=_alike(key), value=_alike(value)))

    def _follow(self, operator: str, given: list[Tensor], result: Any) -> None:
        if operator in COPIES and given and isinstance(result, Tensor):
            address = storage_address(given[0])
            self._sources[storage_address(result)] = self._sources.get(address, address)
            self._held.append(result)
        if operator in SOFTMAX and id(given[0]) in self._scores:
            self._shares[id(result)] = self._scores[id(given[0])]
            self._held.append(result)
            return
        for known in (self._scores, self._shares):
            origin = next((known[id(tensor)] for tensor in given if id(tensor) in known), None)
            if origin is not None and isinstance(result, Tensor):
                known[id(result)] = origin
                self._held.append(result)


def _alike(features: Tensor) -> Tensor | None:
    """(…, K) of features (…, N, K) that are the same for all N; None if they are not."""
    first = features[:, :1]
    if not torch.allclose(features, first.expand_as(features), rtol=1e-4, atol=1e-6):
        return None
    return first[:, 0].clone()
