"""Multiply-adds of a DeepNets-1M network, read off its plan without building it."""

from __future__ import annotations

from ghn.deepnets.operations.record import halved
from ghn.deepnets.plan import CellPlan, NetworkPlan


def megamacs(plan: NetworkPlan) -> float:
    """Millions of multiply-adds of one forward pass for one image.

    Convolutions, linear layers and attention products are counted, unreachable operations are not; normalisation,
    pooling and activations are left out, as usual.
    """
    total, side = _stem(plan)
    for cell in plan.cells:
        out_side = halved(side) if any(edge.stride == 2 for edge in cell.edges) else side
        if cell.live:
            total += _cell(cell, side, out_side)
        side = out_side
    total += sum(inputs * outputs for inputs, outputs in plan.fully_connected)
    return total / 1e6


def _stem(plan: NetworkPlan) -> tuple[int, int]:
    """Multiply-adds of the stem, and the side of the feature map it gives."""
    arguments, channels = plan.arguments, plan.arguments.C
    if arguments.is_vit:
        return 3 * channels * plan.patch[0] ** 2 * plan.grid**2, plan.grid
    side = halved(plan.image_size, plan.stem_stride)
    if arguments.stem_type == 0:
        macs = 3 * plan.stem_channels * arguments.ks**2 * side**2
        return macs, halved(side) if arguments.stem_pool else side
    second = halved(side, plan.stem_stride)
    third = halved(second)
    macs = 3 * channels // 2 * arguments.ks**2 * side**2 + channels // 2 * channels * 9 * second**2
    return macs + channels**2 * 9 * third**2, third


def _cell(cell: CellPlan, side: int, out_side: int) -> int:
    channels = cell.channels
    total = sum(entry.channels * channels * side**2 for entry in cell.inputs if entry.live and entry.kind != "identity")
    for edge in cell.edges:
        if edge.live:
            # States within a cell have the resolution of its output.
            read = side if edge.source < 2 else out_side
            total += edge.operation.multiply_adds(channels, edge.stride, read)
    return total
