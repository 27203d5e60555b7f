"""The gated graph network of GHN-2 (Knyazev et al., NeurIPS 2021, eq. 3 and 4).

Legend: B graphs, N nodes of all graphs together, n nodes of one graph, D hidden size, K kinds of messages (direct, and
along shortest paths), M slots per graph: places for nodes ordered by level (see `ghn.hypernet.batch.level_slots`), w
slots of one level, X = B·M, R = M·K messages (while levels are swept, those sent so far).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.hypernet.batch import GraphBatch
from ghn.hypernet.mlp import TwoLayers, linear_layer

WEIGHTS_AT_ONCE = 2**24
"""Pairs of slots whose message weights (64 MiB a kind) are held at once."""


class _Messages:
    """What the levels have sent so far, in the order of the slots.

    Args:
        h_BMD: The states of all slots.
        kinds: K.
    """

    def __init__(self, h_BMD: Tensor, kinds: int) -> None:
        B, M, D = h_BMD.shape
        # In one place, where that is allowed: to join them anew at every level takes the square of the levels.
        self._in_place = not torch.is_grad_enabled()
        self._all_BRD = h_BMD.new_zeros(B, M * kinds if self._in_place else 0, D)
        self._count = 0

    def sent(self) -> Tensor:
        """(B, R, D) so far."""
        return self._all_BRD[:, : self._count]

    def send(self, messages_BrD: Tensor) -> None:
        """Add those of a level."""
        before, self._count = self._count, self._count + messages_BrD.shape[1]
        if self._in_place:
            self._all_BRD[:, before : self._count] = messages_BrD
        else:
            self._all_BRD = torch.cat([self._all_BRD, messages_BrD], dim=1)


class GatedGNN(nn.Module):
    """One sweep along the edges and one against them; each node updates a GRU with messages of those it depends on.

    Args:
        hidden: D.
        virtual_edges: Also send messages along shortest paths, divided by their length.
    """

    def __init__(self, hidden: int, virtual_edges: bool = True) -> None:
        super().__init__()
        self.mlp = TwoLayers(hidden, hidden // 2 if virtual_edges else hidden)
        self.mlp_ve = TwoLayers(hidden, hidden // 2) if virtual_edges else None
        self.gru = nn.GRUCell(hidden, hidden)

    def forward(self, x_ND: Tensor, batch: GraphBatch) -> Tensor:
        """Node states (N, D) after both sweeps, before the final normalisation.

        The definition updates nodes one after the other. A node reads its ancestors only (descendants on the way
        back), and nodes of one level are no ancestors of each other, so that whole levels update at once.
        """
        empty_XD = x_ND.new_zeros(len(batch) * sum(batch.level_widths), x_ND.shape[1])
        h_BMD = empty_XD.index_copy(0, batch.slots, x_ND).unflatten(0, (len(batch), -1))
        distances_BMM = self._slot_distances(batch)
        h_BMD = self._sweep(h_BMD, distances_BMM.transpose(1, 2), batch.level_widths)
        # Seen from the last slot to the first, the way back is the same sweep.
        h_BMD = self._sweep(h_BMD.flip(1), distances_BMM.flip(1, 2), batch.level_widths[::-1]).flip(1)
        return h_BMD.flatten(0, 1).index_select(0, batch.slots)

    def _slot_distances(self, batch: GraphBatch) -> Tensor:
        """(B, M, M) uint8: lengths of the shortest paths from slot to slot, 0 for none."""
        M = sum(batch.level_widths)
        distances_BMM = batch.distances.new_zeros(len(batch), M, M)
        graphs = zip(batch.distance_matrices(), batch.slots.split(batch.sizes), strict=True)
        for index, (distances_nn, slots_n) in enumerate(graphs):
            places_n = slots_n - index * M
            distances_BMM[index, places_n[:, None], places_n] = distances_nn
        return distances_BMM

    def _message_weights(self, distances_BwM: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, w, M·K): factors of the messages along each shortest path: 1 if it is an edge, and 1 / its length."""
        lengths_BwM = distances_BwM.float()
        kinds_BwM = [(lengths_BwM == 1).float()]
        if self.mlp_ve is not None:
            kinds_BwM.append((lengths_BwM >= 1) / lengths_BwM.clamp(min=1))
        return torch.stack(kinds_BwM, dim=-1).flatten(2).to(dtype)

    def _sweep(self, h_BMD: Tensor, distances_BMM: Tensor, widths: tuple[int, ...]) -> Tensor:
        """Update the levels one after the other; `distances_BMM[:, i, j]` is the length of the path from j into i."""
        layers = self._message_layers()
        states_BwD: list[Tensor] = []
        messages = _Messages(h_BMD, len(layers[-1][1]) // h_BMD.shape[-1])
        for level_BwD, weights_BwR in zip(h_BMD.split(widths, dim=1), self._levels(distances_BMM, widths, h_BMD.dtype)):
            width = level_BwD.shape[1]
            messages_BRD = messages.sent()
            received_BwD = weights_BwR[:, :, : messages_BRD.shape[1]] @ messages_BRD
            state_BwD = self.gru(received_BwD.flatten(0, 1), level_BwD.flatten(0, 1)).unflatten(0, (-1, width))
            states_BwD.append(state_BwD)
            # From (B, w, D) through the width between to (B, w, K·D).
            sent = state_BwD
            for weight, bias in layers:
                sent = F.relu(F.linear(sent, weight, bias))
            messages.send(sent.view(len(h_BMD), -1, h_BMD.shape[-1]))
        return torch.cat(states_BwD, dim=1)

    def _levels(self, distances_BMM: Tensor, widths: tuple[int, ...], dtype: torch.dtype) -> Iterator[Tensor]:
        """The weights (B, w, M·K) of the messages into each level, computed for as many as fit into memory at once."""
        sources = distances_BMM.shape[0] * distances_BMM.shape[2]
        first, start = 0, 0
        while first < len(widths):
            last, rows = first + 1, widths[first]
            while last < len(widths) and (rows + widths[last]) * sources <= WEIGHTS_AT_ONCE:
                rows += widths[last]
                last += 1
            weights_BrR = self._message_weights(distances_BMM[:, start : start + rows], dtype)
            yield from weights_BrR.split(widths[first:last], dim=1)
            first, start = last, start + rows

    def _message_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases of the message networks, those of both kinds in one product: they make (..., K·D)."""
        networks = [self.mlp.fc] if self.mlp_ve is None else [self.mlp.fc, self.mlp_ve.fc]
        first, last = ([linear_layer(network, index) for network in networks] for index in (0, 2))
        return [
            (torch.cat([layer.weight for layer in first]), torch.cat([layer.bias for layer in first])),
            (torch.block_diag(*(layer.weight for layer in last)), torch.cat([layer.bias for layer in last])),
        ]
