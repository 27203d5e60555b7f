"""Makes a network's tensors from their counterparts in a trained one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ghn.common.modules import named_modules
from ghn.common.private_torch import is_batch_norm
from ghn.graph.computational_graph import Role
from ghn.graph.reasons import ReasonCode
from ghn.initializers.transfer.counterparts import Counterparts, Piece, statistics_of
from ghn.initializers.transfer.fit import fit_offsets, fit_positions, fit_vector, fit_weight, select
from ghn.initializers.transfer.network import Attached, Network


@torch.no_grad()
def tailor(ours: Network, theirs: Network, found: Counterparts) -> tuple[dict[str, Tensor], dict[str, str]]:
    """New values for our tensors.

    Args:
        ours: The network that gets them; left as it is.
        theirs: The source.
        found: What comes from what.

    Returns:
        Values by name in the order of `ours.tensors`, in our shapes; names of tensors that do not fit their
        counterparts, each with the reason.
    """
    made: dict[str, Tensor] = {}
    reasons: dict[str, str] = {}
    for name, source in found.sources.items():
        fault = _misfit(ours, theirs, name, source)
        if fault is not None:
            reasons[name] = fault
        elif name in ours.layers:
            pieces = found.pieces.get(name, (Piece(source=source),))
            made[name] = _weight(ours, theirs, name, pieces, found.folded.get(name))
        elif name in found.pieces:
            made[name] = _bias(ours, theirs, name, found.pieces[name])
        else:
            made[name] = _other(ours, theirs, name, source)
    for name in found.absent:
        made[name] = torch.zeros_like(ours.tensors[name])
    for layer, norm in found.folded.items():
        _fold_biases(ours, theirs, layer, norm, made)
    return {name: made[name] for name in ours.tensors if name in made}, reasons


def _misfit(ours: Network, theirs: Network, name: str, source: str) -> str | None:
    """Why a tensor cannot be made from its counterpart."""
    own, other = ours.tensors[name], theirs.tensors[source]
    if own.shape == other.shape:
        return None
    if not (own.numel() and other.numel()):
        return f"{source} has another shape, and one of them no elements"
    if not own.is_floating_point() or (name in ours.buffers and own.dim() != other.dim()):
        return f"a buffer of another shape than {source}"
    if name in ours.graph.kept and own.dim() != other.dim():
        return f"{source} has another number of axes"
    if _reason(ours, name) is ReasonCode.LOOKUP and len(own) != len(other):
        return f"{source} is a table of other entries"
    return None


def _reason(network: Network, name: str) -> ReasonCode | None:
    reason = network.graph.kept.get(name)
    return None if reason is None else reason.code


def _weight(ours: Network, theirs: Network, name: str, pieces: Sequence[Piece], absorbed: Attached | None) -> Tensor:
    """A layer's weight, back in the order in which the parameter keeps it."""
    own = ours.layers[name]
    if len(pieces) == 1 == pieces[0].count:
        fitted = _fitted(ours, theirs, name, pieces[0].source, absorbed)
    else:
        shape = (len(own.weight) // len(pieces), *own.weight.shape[1:])
        taken = [_piece(_exact(theirs.layers[piece.source].weight), piece) for piece in pieces]
        fitted = torch.cat([fit_weight(weight, 0, shape, 0, depthwise=False) for weight in taken])
    inverse = [own.spec.axes.index(axis) for axis in range(len(own.spec.axes))]
    return fitted.permute(inverse).reshape(own.spec.shape)


def _exact(tensor: Tensor) -> Tensor:
    """The numbers, in a type that all arithmetic here has."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _piece(tensor: Tensor, piece: Piece) -> Tensor:
    return tensor.chunk(piece.count)[piece.index]


def _bias(ours: Network, theirs: Network, name: str, pieces: Sequence[Piece]) -> Tensor:
    shape = (ours.tensors[name].numel() // len(pieces),)
    return torch.cat([fit_vector(_piece(_exact(theirs.tensors[piece.source]), piece), shape) for piece in pieces])


def _fitted(ours: Network, theirs: Network, name: str, source: str, absorbed: Attached | None) -> Tensor:
    """A layer's weight, (stack..., O, I, k...)."""
    own, other = ours.layers[name], theirs.layers[source]
    weight = _exact(other.weight)
    if absorbed is not None:
        scale, _ = _affine(theirs, absorbed)
        weight = weight * scale.view(
            *weight.shape[: other.spec.stack + 1], *(1,) * (weight.dim() - other.spec.stack - 1)
        )
    depthwise = ours.places[name].depthwise and not theirs.places[source].depthwise
    return fit_weight(weight, other.spec.stack, own.weight.shape, own.spec.stack, depthwise=depthwise)


def _other(ours: Network, theirs: Network, name: str, source: str) -> Tensor:
    own, other = ours.tensors[name], theirs.tensors[source].detach()
    if own.shape == other.shape:
        return other
    spec = ours.graph.parameters.get(name)
    if spec is None:
        return (
            fit_offsets(other, own.shape) if _reason(ours, name) is ReasonCode.SCORE_BIAS else select(other, own.shape)
        )
    return (fit_positions if spec.role is Role.POSITION else fit_vector)(_exact(other), own.shape)


def _affine(network: Network, norm: Attached) -> tuple[Tensor, Tensor]:
    """What a batch norm in evaluation mode multiplies channels with, and adds to them."""
    names = statistics_of(network, norm)
    assert names is not None
    mean, variance = (_exact(network.tensors[name]) for name in names)
    home = names[0].rpartition(".")[0]
    module = next(module for name, module in named_modules(network.model) if name == home)
    scale = (variance + (module.eps if is_batch_norm(module) else 0.0)).rsqrt()
    if Role.NORM_WEIGHT in norm.parameters:
        scale = scale * _exact(network.tensors[norm.parameters[Role.NORM_WEIGHT]])
    shift = -mean * scale
    if Role.NORM_BIAS in norm.parameters:
        shift = shift + _exact(network.tensors[norm.parameters[Role.NORM_BIAS]])
    return scale, shift


def _fold_biases(ours: Network, theirs: Network, layer: str, norm: Attached, made: dict[str, Tensor]) -> None:
    """The bias of a layer that absorbed a norm: what the norm makes of the counterpart's, and adds."""
    scale, shift = _affine(theirs, norm)
    for entry in ours.attached_to(layer, follows=True, norm=False)[:1]:
        for name in entry.parameters.values():
            for other in theirs.attached_to(norm.layer, follows=True, norm=False)[:1]:
                (source,) = other.parameters.values()
                shift = shift + scale * _exact(theirs.tensors[source])
            made[name] = fit_vector(shift, ours.tensors[name].shape)
