"""The gated graph network of GHN-2 (Knyazev et al., NeurIPS 2021, eq. 3 and 4).

Legend: B graphs, N nodes of all graphs together, n nodes of one graph, D hidden size, K kinds of messages (direct, and
along shortest paths), M slots per graph: places for nodes ordered by level (see `ghn.hypernet.batch.level_slots`), w
slots of one level, X = B·M, R = M·K messages (while levels are swept, those sent so far).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.hypernet.batch import GraphBatch
from ghn.hypernet.mlp import TwoLayers, linear_layer


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
        weights_BMMK = self._message_weights(batch).to(x_ND.dtype)
        h_BMD = self._sweep(h_BMD, weights_BMMK.transpose(1, 2).flatten(2), batch.level_widths)
        # Seen from the last slot to the first, the way back is the same sweep.
        backward_BMR = weights_BMMK.flip(1, 2).flatten(2)
        h_BMD = self._sweep(h_BMD.flip(1), backward_BMR, batch.level_widths[::-1]).flip(1)
        return h_BMD.flatten(0, 1).index_select(0, batch.slots)

    def _message_weights(self, batch: GraphBatch) -> Tensor:
        """(B, M, M, K): factors of the messages along each shortest path: 1 if it is an edge, and 1 / its length."""
        M = sum(batch.level_widths)
        distances_BMM = torch.zeros(len(batch), M, M, device=batch.distances.device)
        graphs = zip(batch.distance_matrices(), batch.slots.split(batch.sizes), strict=True)
        for index, (distances_nn, slots_n) in enumerate(graphs):
            places_n = slots_n - index * M
            distances_BMM[index, places_n[:, None], places_n] = distances_nn.float()
        kinds_BMM = [(distances_BMM == 1).float()]
        if self.mlp_ve is not None:
            kinds_BMM.append((distances_BMM >= 1) / distances_BMM.clamp(min=1))
        return torch.stack(kinds_BMM, dim=-1)

    def _sweep(self, h_BMD: Tensor, weights_BMR: Tensor, widths: tuple[int, ...]) -> Tensor:
        """Update the levels one after the other; `weights_BMR` (B, M, M·K), factor of each message into each slot."""
        layers = self._message_layers()
        states_BwD: list[Tensor] = []
        messages_BRD = h_BMD.new_zeros(len(h_BMD), 0, h_BMD.shape[-1])
        start = 0
        for level_BwD in h_BMD.split(widths, dim=1):
            width = level_BwD.shape[1]
            received_BwD = weights_BMR[:, start : start + width, : messages_BRD.shape[1]] @ messages_BRD
            state_BwD = self.gru(received_BwD.flatten(0, 1), level_BwD.flatten(0, 1)).unflatten(0, (-1, width))
            states_BwD.append(state_BwD)
            # From (B, w, D) through the width between to (B, w, K·D).
            sent = state_BwD
            for weight, bias in layers:
                sent = F.relu(F.linear(sent, weight, bias))
            messages_BRD = torch.cat([messages_BRD, sent.view(len(h_BMD), -1, h_BMD.shape[-1])], dim=1)
            start += width
        return torch.cat(states_BwD, dim=1)

    def _message_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weights and biases of the message networks, those of both kinds in one product: they make (..., K·D)."""
        networks = [self.mlp.fc] if self.mlp_ve is None else [self.mlp.fc, self.mlp_ve.fc]
        first, last = ([linear_layer(network, index) for network in networks] for index in (0, 2))
        return [
            (torch.cat([layer.weight for layer in first]), torch.cat([layer.bias for layer in first])),
            (torch.block_diag(*(layer.weight for layer in last)), torch.cat([layer.bias for layer in last])),
        ]
