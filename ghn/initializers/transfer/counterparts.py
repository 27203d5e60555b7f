"""Which tensor of a trained network each tensor of another is made from: all that goes with aligned layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ghn.graph.computational_graph import Role
from ghn.initializers.transfer.alignment import align, heads
from ghn.initializers.transfer.network import Attached, Network, Place

QKV = 3
"""Queries, keys and values, in this order: one layer in some networks, three in others."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some of the outputs of a tensor of the source.

    Attributes:
        source: Its name.
        index: Which of the equal pieces.
        count: How many of them there are.
    """

    source: str
    index: int = 0
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Counterparts:
    """What was found for a network's tensors; each is in one of them.

    Attributes:
        sources: Our tensors' names, each with that of the source's, the first of several.
        pieces: Those of them whose outputs are put together from pieces, or are a piece.
        folded: Our layers after which there is no norm, each with the norm of the source that its weight absorbs.
        absent: Biases of layers whose counterparts have none.
        reasons: Our other tensors, each with the reason why it has no source.
    """

    sources: Mapping[str, str]
    pieces: Mapping[str, tuple[Piece, ...]]
    folded: Mapping[str, Attached]
    absent: tuple[str, ...]
    reasons: Mapping[str, str]


@dataclass
class _Search:
    ours: Network
    theirs: Network
    sources: dict[str, str] = field(default_factory=dict)
    pieces: dict[str, tuple[Piece, ...]] = field(default_factory=dict)
    folded: dict[str, Attached] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)


def counterparts(ours: Network, theirs: Network) -> Counterparts:
    """Find a tensor of the source for each of ours.

    Args:
        ours: The network that gets weights.
        theirs: The source.
    """
    search = _Search(ours, theirs)
    _layers(search)
    for entry in ours.attached:
        _attached(search, entry)
    _positions(search)
    _others(search)
    return Counterparts(
        sources=search.sources,
        pieces=search.pieces,
        folded=search.folded,
        absent=tuple(search.absent),
        reasons=search.reasons,
    )


def _layers(search: _Search) -> None:
    ours, theirs = [*search.ours.places.values()], [*search.theirs.places.values()]
    split_ours, split_theirs = (_in_pieces(*pair) for pair in _pairs(search))
    _put_together(search, align([*split_ours], [*split_theirs]), split_ours, split_theirs)
    search.heads = {name: head.name for name, head in heads(ours, theirs).items()}
    classes = {name: head.out for name, head in heads(ours, theirs).items()}
    for place in ours:
        if place.name in search.sources:
            _fold(search, place.name, search.sources[place.name])
        elif place.name in classes:
            search.reasons[place.name] = f"a head of {place.out} classes; the source's has {classes[place.name]}"
        else:
            search.reasons[place.name] = f"the source has no {'head' if place.head else 'layer like it'}"


def _pairs(search: _Search) -> list[tuple[Network, bool]]:
    """Each network, and whether its layer of queries, keys and values is seen as three, as the other's are."""
    one, other = (any(len(layers) == QKV for layers in network.attentions) for network in (search.ours, search.theirs))
    return [(search.ours, other and not one), (search.theirs, one and not other)]


def _in_pieces(network: Network, split: bool) -> dict[Place, Piece]:
    """All layers in order, those of queries, keys and values in three pieces if they are to be."""
    packed = {layers[0] for layers in network.attentions if len(layers) == 1} if split else set()
    found: dict[Place, Piece] = {}
    for name, place in network.places.items():
        count = QKV if name in packed and place.out % QKV == 0 else 1
        for index in range(count):
            piece = replace(place, name=f"{name}\n{index}", out=place.out // count, chained=place.chained and not index)
            found[piece] = Piece(source=name, index=index, count=count)
    return found


def _put_together(
    search: _Search, aligned: Mapping[str, str], ours: Mapping[Place, Piece], theirs: Mapping[Place, Piece]
) -> None:
    """Note the source of each layer, all pieces of which have one."""
    by_name = {place.name: piece for place, piece in theirs.items()}
    found: dict[str, list[Piece]] = {}
    for place, own in ours.items():
        if place.name in aligned:
            found.setdefault(own.source, []).append(by_name[aligned[place.name]])
    for own in ours.values():
        pieces = found.get(own.source, [])
        if len(pieces) == own.count:
            search.sources[own.source] = pieces[0].source
            if len(pieces) > 1 or pieces[0].count > 1:
                search.pieces[own.source] = tuple(pieces)


def _fold(search: _Search, layer: str, source: str) -> None:
    """Have a layer without a norm after it absorb the one that follows its counterpart."""
    if search.ours.attached_to(layer, follows=True, norm=True) or layer in search.pieces:
        return
    norms = search.theirs.attached_to(source, follows=True, norm=True)
    if norms and statistics_of(search.theirs, norms[0]) is not None:
        search.folded[layer] = norms[0]


def statistics_of(network: Network, norm: Attached) -> tuple[str, str] | None:
    """Names of the running mean and variance of a norm; None if it has none."""
    home = next(iter(norm.parameters.values())).rpartition(".")[0]
    mean, variance = (f"{home}.{part}".lstrip(".") for part in ("running_mean", "running_var"))
    return (mean, variance) if {mean, variance} <= network.buffers.keys() else None


def _attached(search: _Search, entry: Attached) -> None:
    """A norm from the norm, a bias from the bias on the same side of the layer's counterpart."""
    if not entry.norm and entry.layer in search.pieces:
        _bias_in_pieces(search, entry)
        return
    layer, found = search.sources.get(entry.layer), None
    if layer is None and entry.norm and not entry.follows:
        # What is normalised before a head does not depend on its classes.
        layer = search.heads.get(entry.layer)
    if layer is not None:
        found = _beside(search, entry, layer)
    elif search.ours.places[entry.layer].head and entry.norm and not entry.follows:
        found = next((norm for norm in reversed(search.theirs.attached) if norm.norm), None)
    if layer is None and found is None:
        reason = search.reasons[entry.layer]
        reason = reason if search.ours.places[entry.layer].head else f"it goes with {entry.layer}: {reason}"
        search.reasons.update(dict.fromkeys(entry.parameters.values(), reason))
        return
    for role, name in entry.parameters.items():
        if found is not None and role in found.parameters:
            search.sources[name] = found.parameters[role]
        elif role in (Role.BIAS, Role.NORM_BIAS) and (not entry.norm or found is not None):
            search.absent.append(name)
        else:
            search.reasons[name] = f"the source has no such norm beside {layer}"


def _bias_in_pieces(search: _Search, entry: Attached) -> None:
    pieces = []
    for piece in search.pieces[entry.layer]:
        for other in search.theirs.attached_to(piece.source, follows=True, norm=False)[:1]:
            pieces.append(replace(piece, source=other.parameters[Role.BIAS]))
    for name in entry.parameters.values():
        if len(pieces) == len(search.pieces[entry.layer]):
            search.sources[name], search.pieces[name] = pieces[0].source, tuple(pieces)
        else:
            search.absent.append(name)


def _beside(search: _Search, entry: Attached, layer: str) -> Attached | None:
    side = {"follows": entry.follows, "norm": entry.norm}
    own, others = search.ours.attached_to(entry.layer, **side), search.theirs.attached_to(layer, **side)
    position = own.index(entry)
    if position < len(others):
        return others[position]
    return search.theirs.nearest_norm(layer, follows=entry.follows) if entry.norm and position == 0 else None


def _positions(search: _Search) -> None:
    theirs = search.theirs.positions
    for index, name in enumerate(search.ours.positions):
        if theirs:
            search.sources[name] = theirs[min(index, len(theirs) - 1)]
        else:
            search.reasons[name] = "the source has no position embedding"


def _others(search: _Search) -> None:
    """What no primitive describes: from the same kind of tensor in the module around the layers' counterparts."""
    homes: dict[str, str] = {}
    for name, source in search.sources.items():
        homes.setdefault(name.rpartition(".")[0], source.rpartition(".")[0])
    theirs = [(name, kind_of(search.theirs, name), search.theirs.layers_around(name)) for name in search.theirs.others]
    used: set[str] = set()
    for name in search.ours.others:
        home, _, leaf = name.rpartition(".")
        beside = f"{homes[home]}.{leaf}".lstrip(".") if home in homes else ""
        kind = kind_of(search.ours, name)
        if beside in search.theirs.tensors and kind_of(search.theirs, beside) == kind:
            search.sources[name] = beside
            continue
        around = {search.sources[layer] for layer in search.ours.layers_around(name) if layer in search.sources}
        ranked = [
            (len(around & layers) / len(around | layers), _alike(name, other), other not in used, -index, other)
            for index, (other, their_kind, layers) in enumerate(theirs)
            if their_kind == kind and around & layers
        ]
        if ranked:
            search.sources[name] = max(ranked)[-1]
            used.add(search.sources[name])
        else:
            search.reasons[name] = "the source has no such tensor"


def kind_of(network: Network, name: str) -> tuple[object, ...]:
    """What must agree of tensors that no primitive describes: why that is so; of buffers what they are called."""
    tensor = network.tensors[name]
    if name in network.buffers:
        return "buffer", name.rpartition(".")[2], tensor.is_floating_point()
    reason = network.graph.kept.get(name)
    return "parameter", None if reason is None else reason.code, tensor.dim()


def _alike(name: str, other: str) -> int:
    """How many parts at the ends of two names agree."""
    return sum(1 for _ in _common(reversed(name.split(".")), reversed(other.split("."))))


def _common(first: Iterator[str], second: Iterator[str]) -> Iterator[str]:
    for one, other in zip(first, second, strict=False):
        if one != other:
            return
        yield one
