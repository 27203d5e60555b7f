"""What a hypernetwork predicts, by the definition: slow, one parameter at a time, everything at full size."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ghn.graph.computational_graph import ComputationalGraph, ParameterSpec, Role
from ghn.hypernet import GHN, GraphBatch


@torch.no_grad()
def predict_slowly(hypernet: GHN, graph: ComputationalGraph) -> dict[str, Tensor]:
    """All parameters of one graph by SPEC, section 4; random rows of position tables are zero."""
    states = hypernet.encode(GraphBatch.from_graphs([graph]))
    return {name: decode_slowly(hypernet, states[spec.node], spec) for name, spec in graph.parameters.items()}


def decode_slowly(hypernet: GHN, state: Tensor, spec: ParameterSpec) -> Tensor:
    canonical = spec.canonical_shape
    is_head = spec.head and math.prod(canonical[: spec.stack + 1]) == hypernet.config.num_classes
    if spec.role in (Role.BIAS, Role.NORM_BIAS, Role.NORM_WEIGHT):
        values = decode_vector(hypernet, state, spec.role, math.prod(canonical), is_head)
    elif spec.role is Role.POSITION:
        values = decode_position(hypernet, state, canonical)
    else:
        stack, own = canonical[: spec.stack], canonical[spec.stack :]
        kernel = {0: (1, 1), 1: (*own[2:], 1)}.get(len(own) - 2, own[-2:]) if len(own) > 2 else (1, 1)
        repeats = math.prod(own[2:-2]) if len(own) > 4 else 1
        out, inputs = (*own, 1, 1)[:2] if len(own) < 2 else own[:2]
        out *= math.prod(stack)
        values = decode_kernel(hypernet, state, out, inputs, kernel[0], kernel[1], is_head)
        values = values[:, :, None].expand(-1, -1, repeats, -1, -1)
        beta = 1 if inputs == 1 or kernel[1] > kernel[0] else 2
        values = values * math.sqrt(beta / values[0].numel())
    tensor = values.reshape(canonical)
    # axes[i] is the tensor's own axis that stands at position i of the canonical shape
    tensor = tensor.permute(tuple(np.argsort(spec.axes).tolist())) if spec.axes else tensor
    return tensor.reshape(spec.shape)  # the canonical axes split and merge the tensor's own


def decode_vector(hypernet: GHN, state: Tensor, role: Role, size: int, is_head: bool) -> Tensor:
    rows = hypernet.decoder_1d.fc(state).view(2, -1)
    if is_head:
        rows = hypernet.bias_class(rows)
    row = rows[0] if role is Role.NORM_WEIGHT else rows[1]
    row = row[torch.arange(size) % len(row)]
    return 2 * torch.sigmoid(row / 2) if role is Role.NORM_WEIGHT else torch.tanh(0.2 * row)


def decode_position(hypernet: GHN, state: Tensor, canonical: tuple[int, ...]) -> Tensor:
    if len(canonical) == 4:
        return decode_kernel(hypernet, state, *canonical)
    if len(canonical) == 3 and canonical[0] > 1:
        return decode_kernel(hypernet, state, 1, *canonical)
    positions, channels = canonical[-2:]
    side = math.floor(math.sqrt(positions))
    extra = positions - side**2
    if extra > 4:
        return decode_kernel(hypernet, state, 1, channels, positions, 1)[0].flatten(1).T
    rows = decode_kernel(hypernet, state, 1, channels, side, side)[0].flatten(1).T
    return torch.cat([torch.zeros(extra, channels), rows])


def decode_kernel(
    hypernet: GHN, state: Tensor, out: int, inputs: int, height: int, width: int, is_head: bool = False
) -> Tensor:
    """(out, inputs, height, width), not scaled."""
    square = decode_square(hypernet, state)
    side = hypernet.config.spatial
    if max(height, width) > side:
        square = F.interpolate(square, size=(height, width), mode="bilinear", align_corners=False)
    elif hypernet.config.centered_crop:
        rows = slice(side // 2 - height // 2, side // 2 + math.ceil(height / 2))
        columns = slice(side // 2 - width // 2, side // 2 + math.ceil(width / 2))
        square = square[:, :, rows, columns]
    else:
        square = square[:, :, :height, :width]
    if is_head:
        square = hypernet.decoder.class_layer_predictor(square.movedim(0, -1)).movedim(-1, 0)
    return square[torch.arange(out) % len(square)][:, torch.arange(inputs) % square.shape[1]]


def decode_square(hypernet: GHN, state: Tensor) -> Tensor:
    """The full (O_max, I_max, S, S) tensor of a node."""
    side, channels = hypernet.config.spatial, hypernet.config.max_channels
    trunk = hypernet.decoder.fc(state).view(-1, side, side)
    return hypernet.decoder.conv(trunk.permute(1, 2, 0)).view(side, side, channels, channels).permute(2, 3, 0, 1)
