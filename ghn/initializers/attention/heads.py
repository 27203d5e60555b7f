"""Which channels of which weights are queries, keys and values of which head, found by what the model computes.

Legend: H heads, K channels of a head, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ghn.batch_norm import device_of, running
from ghn.common.modules import named_parameters
from ghn.graph.run.arguments import Inputs
from ghn.graph.run.calling import call_model
from ghn.graph.run.process import compiled_parts_eager
from ghn.initializers.attention.probe import Code, Probe, Products, Use
from ghn.initializers.layers import Layers


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Some outputs of a layer.

    Attributes:
        name: Of its weight.
        matrix: (I, O), in the parameter's memory.
        columns: (K,) int64, which of O.
    """

    name: str
    matrix: Tensor
    columns: Tensor


@dataclass(frozen=True, kw_only=True)
class SelfAttention:
    """The weights of an attention.

    Attributes:
        names: Of the weights that it was seen to take.
        heads: Queries and keys of each head; none where they are not plain projections of the same features.
        value: All values in the order in which the output projection takes them; None where that is not plain.
        output: (I, O) of the output projection, with its name.
        reasons: Why something is missing.
    """

    names: tuple[str, ...]
    heads: tuple[tuple[Channels, Channels], ...]
    value: Channels | None
    output: tuple[str, Tensor] | None
    reasons: tuple[str, ...]


def attentions_of(model: nn.Module, layers: Layers, inputs: Inputs) -> list[SelfAttention]:
    """Every attention of a model in the order of the data.

    Args:
        model: With memory.
        layers: Of it.
        inputs: What to call it with; the numbers do not matter.
    """
    parameters = named_parameters(model)
    weights = {layer.name: parameters[layer.name].detach() for layer in layers.weights}
    device = device_of(model)
    args, kwargs = inputs.map(lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype, device=device))
    probes = {}
    for code in Code:
        with _by_parts(model), Probe({name: parameters[name] for name in weights}, code) as probe:
            call_model(model, *args, **kwargs)
        probes[code] = probe
    if len({(len(probe.uses), len(probe.attentions)) for probe in probes.values()}) > 1:
        # What it does depends on values.
        return []
    return [
        _read(probes[Code.ONE].uses, {code: probe.uses for code, probe in probes.items()}, dict(zip(Code, products)))
        for products in zip(*(probes[code].attentions for code in Code))
    ]


@contextmanager
def _by_parts(model: nn.Module) -> Any:
    """Context in which attention consists of products and a softmax."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with running(model, training=False), compiled_parts_eager(), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@dataclass(frozen=True)
class _Origin:
    """Of features (…, K): the number of the use and the channels that they are."""

    use: int
    channels: tuple[int, ...]


def _origins(by_code: Mapping[Code, Tensor | None]) -> list[_Origin] | None:
    """Where each row of (…, K) comes from; None if a row is not the outputs of one layer, each once, up to a scale."""
    one, channel, layer = (by_code[code] for code in Code)
    if one is None or channel is None or layer is None or not one.dtype.itemsize >= 4:
        return None
    channels, uses = _integers(channel / one), _integers(layer / one)
    if channels is None or uses is None or not bool((uses == uses[:, :1]).all()):
        return None
    found = [
        _Origin(int(use[0]) - 1, tuple(number - 1 for number in row))
        for use, row in zip(uses.tolist(), channels.tolist())
    ]
    distinct = all(min(origin.channels) >= 0 and len(set(origin.channels)) == len(origin.channels) for origin in found)
    return found if distinct and all(origin.use >= 0 for origin in found) else None


def _integers(quotients: Tensor) -> Tensor | None:
    rounded = quotients.round()
    if not bool(quotients.isfinite().all()) or bool(((quotients - rounded).abs() > 0.05).any()):
        return None
    return rounded.long()


def _read(uses: list[Use], by_code: Mapping[Code, list[Use]], products: Mapping[Code, Products]) -> SelfAttention:
    query, key, value = (
        _origins({code: getattr(each, part) for code, each in products.items()}) for part in ("query", "key", "value")
    )
    reasons = []
    heads: tuple[tuple[Channels, Channels], ...] = ()
    if query is None or key is None:
        reasons.append("more is done to queries or keys than to project them")
    else:
        heads, reason = _heads(uses, query, key)
        reasons += [reason] if reason else []
    projected = None
    if value is None:
        reasons.append("more is done to values than to project them")
    else:
        projected = _projection(uses, by_code, value, products[Code.ONE].following)
        reasons += [] if projected else ["its output is not projected by a layer of its own width"]
    seen = {origin.use for origins in (query, key, value) for origin in origins or ()}
    names = dict.fromkeys(uses[use].name for use in sorted(seen))
    return SelfAttention(
        names=tuple(names),
        heads=heads,
        value=projected[0] if projected else None,
        output=projected[1] if projected else None,
        reasons=tuple(reasons),
    )


def _heads(
    uses: list[Use], query: list[_Origin], key: list[_Origin]
) -> tuple[tuple[tuple[Channels, Channels], ...], str | None]:
    # Images and windows repeat them.
    pairs = dict.fromkeys(zip(query, key))
    if len({one for one, _ in pairs}) < len(pairs) or len({other for _, other in pairs}) < len(pairs):
        return (), "heads share queries or keys"
    if any(uses[one.use].source != uses[other.use].source for one, other in pairs):
        return (), "queries and keys are of different features"
    heads = tuple((_channels(uses, one), _channels(uses, other)) for one, other in pairs)
    if any(len(one.matrix) != len(other.matrix) or len(one.columns) != len(other.columns) for one, other in heads):
        return (), "queries and keys have different widths"
    return heads, None


def _channels(uses: list[Use], origin: _Origin) -> Channels:
    use = uses[origin.use]
    assert use.matrix is not None
    return Channels(name=use.name, matrix=use.matrix, columns=torch.tensor(origin.channels, device=use.matrix.device))


def _projection(
    uses: list[Use], by_code: Mapping[Code, list[Use]], value: list[_Origin], following: list[int]
) -> tuple[Channels, tuple[str, Tensor]] | None:
    """The layer that takes all values and nothing else, and the values in its order."""
    heads = dict.fromkeys(value)
    for place in following:
        rows = {code: each[place].inputs for code, each in by_code.items()}
        taken = _origins({code: None if row is None else row[None] for code, row in rows.items()})
        matrix = uses[place].matrix
        if taken is None or matrix is None:
            continue
        (origin,) = taken
        everything = {channel for head in heads for channel in head.channels}
        if {head.use for head in heads} != {origin.use} or set(origin.channels) != everything:
            continue
        channels = _channels(uses, origin)
        if len(channels.matrix) == matrix.shape[1]:
            return channels, (uses[place].name, matrix)
    return None
