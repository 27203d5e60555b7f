"""The Graphormer encoder of GHN-3 (Knyazev et al., ICML 2023, section 3.1).

Legend: N nodes of all graphs together, n nodes of one graph, D hidden size, H heads of d = D / H features,
P distinct pairs of distances (i→j, j→i), E = Σn² pairs of nodes.
Graphs are not padded: attention runs graph by graph, the rest on all nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghn.graph.distances import MAX_DISTANCE
from ghn.hypernet.batch import GraphBatch

EDGE_ROWS = 257
FIRST_DISTANCE_ROW = 2
MAX_DEGREE = 100
MAX_INPUT_DISTANCE = 1000

PAIRS_AT_ONCE = 2**27
"""Pairs of nodes, times heads, whose biases (512 MiB) are all held at once."""

PAIRS_OF_A_BLOCK = 2**22
"""And how many of more (16 MiB)."""


class EdgeEmbedding(nn.Module):
    """Table of distance embeddings; distance d stands in row d + 2.

    Args:
        hidden: D.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(EDGE_ROWS, hidden)

    def forward(self, distances: Tensor) -> Tensor:
        """Look up `distances` (...); returns (..., D)."""
        return self.embed(distances + FIRST_DISTANCE_ROW)


class RowwiseBias:
    """The additive bias of a graph too large for all its pairs at once, row by row.

    Args:
        table_HP: φ of the pairs that exist (see `Graphormer.bias_table`).
        distances_nn: uint8, lengths of paths.
    """

    def __init__(self, table_HP: Tensor, distances_nn: Tensor) -> None:
        self.table_HP = table_HP
        self.index_nn = (distances_nn + MAX_DISTANCE) - distances_nn.t()

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Rows, and their bias (H, rows, n), which holds until the next."""
        size, heads = len(self.index_nn), len(self.table_HP)
        rows = max(1, PAIRS_OF_A_BLOCK // (size * heads))
        # One buffer for all blocks: small results between large ones would let the heap grow with each.
        buffer = self.table_HP.new_empty(heads * rows * size)
        for start in range(0, size, rows):
            index_rn = self.index_nn[start : start + rows].int()
            bias_HE = buffer[: heads * index_rn.numel()].view(heads, -1)
            torch.index_select(self.table_HP, 1, index_rn.flatten(), out=bias_HE)
            yield slice(start, start + rows), bias_HE.unflatten(1, index_rn.shape)


class Attention(nn.Module):
    """Multi-head self-attention with an additive bias; the first layer's also makes the bias.

    Args:
        hidden: D.
        heads: H.
        makes_bias: Whether this layer holds the edge embedding.
    """

    def __init__(self, hidden: int, heads: int, makes_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(hidden, 3 * hidden, bias=False)
        self.to_out = nn.Sequential(nn.Linear(hidden, hidden))
        if makes_bias:
            self.edge_embed = EdgeEmbedding(hidden)
            self.proj_e = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, heads))

    def pair_bias(self, forward_P: Tensor, backward_P: Tensor) -> Tensor:
        """φ for pairs of distances: embed both, concatenate, project (GHN-3, eq. 5).

        Args:
            forward_P: (...) distances i→j, of any shape.
            backward_P: (...) distances j→i, of the same shape.

        Returns:
            (..., H) additive attention logits.
        """
        return self.proj_e(torch.cat([self.edge_embed(forward_P), self.edge_embed(backward_P)], dim=-1))

    def forward(self, x_ND: Tensor, sizes: Sequence[int], biases_Hnn: Sequence[Bias]) -> Tensor:
        """Attend from every node to every node of the same graph; returns (N, D)."""
        qkv_N3Hd = self.to_qkv(x_ND).unflatten(-1, (3, self.heads, -1))
        outputs_nD = []
        for qkv_n3Hd, bias_Hnn in zip(qkv_N3Hd.split(sizes), biases_Hnn, strict=True):
            q_1Hnd, k_1Hnd, v_1Hnd = qkv_n3Hd.permute(1, 2, 0, 3).unsqueeze(1)
            blocks = bias_Hnn.blocks() if isinstance(bias_Hnn, RowwiseBias) else [(slice(None), bias_Hnn)]
            for rows, bias_Hrn in blocks:
                mask_1Hrn = None if bias_Hrn is None else bias_Hrn.to(q_1Hnd.dtype).unsqueeze(0)
                mixed_1Hrd = F.scaled_dot_product_attention(q_1Hnd[:, :, rows], k_1Hnd, v_1Hnd, attn_mask=mask_1Hrn)
                outputs_nD.append(mixed_1Hrd[0].transpose(0, 1).flatten(1))
        return self.to_out(torch.cat(outputs_nD))


class FeedForward(nn.Module):
    """Linear, GELU, Linear with four times the width between.

    Args:
        hidden: D.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        # The identity keeps the last layer at the published key `net.3`.
        self.net = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Identity(), nn.Linear(4 * hidden, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Transform the last axis of `x` (..., D)."""
        return self.net(x)


class Layer(nn.Module):
    """One pre-norm transformer layer.

    Args:
        hidden: D.
        heads: H.
        makes_bias: Whether this layer holds the edge embedding.
    """

    def __init__(self, hidden: int, heads: int, makes_bias: bool) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(hidden)
        self.attn = Attention(hidden, heads, makes_bias)
        self.ln2 = nn.LayerNorm(hidden)
        self.ff = FeedForward(hidden)

    def forward(self, x_ND: Tensor, sizes: Sequence[int], biases_Hnn: Sequence[Bias]) -> Tensor:
        """Returns the next node states (N, D)."""
        x_ND = x_ND + self.attn(self.ln1(x_ND), sizes, biases_Hnn)
        return x_ND + self.ff(self.ln2(x_ND))


Bias = Tensor | RowwiseBias | None
"""What is added to a graph's attention logits."""


class Graphormer(nn.ModuleList):
    """L transformer layers whose attention logits know the distances in the graph.

    Args:
        hidden: D.
        layers: L.
        heads: H.
        forward_edges: Embed the distance i→j; if not, that half of the embedding is that of distance 0.
        backward_edges: Embed the distance j→i; if not, that half of the embedding is that of distance 0. With neither,
            there is no edge embedding at all (a constant bias does not change attention).
    """

    def __init__(
        self, hidden: int, layers: int, heads: int, forward_edges: bool = True, backward_edges: bool = True
    ) -> None:
        super().__init__()
        self.forward_edges = forward_edges
        self.backward_edges = backward_edges
        has_edges = forward_edges or backward_edges
        self.extend(Layer(hidden, heads, makes_bias=has_edges and index == 0) for index in range(layers))

    def forward(self, x_ND: Tensor, batch: GraphBatch) -> Tensor:
        """Node states (N, D) after the last layer, before the final normalisation."""
        biases_Hnn = self.attention_biases(batch)
        for layer in self:
            x_ND = layer(x_ND, batch.sizes, biases_Hnn)
        return x_ND

    def attention_biases(self, batch: GraphBatch) -> Sequence[Bias]:
        """φ(i, j) of every pair of nodes of each graph: (H, n, n) each, or None with no edge embedding.

        Where there are too many, and no gradients, they are looked up row by row when they are needed.

        φ depends on the two distances only, of which one is 0 in a DAG: it is evaluated for the P = 101 pairs that
        exist and gathered, so that nothing of shape (n, n, D) is built.
        """
        if not (self.forward_edges or self.backward_edges):
            return [None] * len(batch)
        table_HP = self.bias_table(batch.distances.device).t()
        if len(batch.distances) * len(table_HP) > PAIRS_AT_ONCE and not torch.is_grad_enabled():
            table_HP = table_HP.contiguous()
            return [RowwiseBias(table_HP, matrix_nn) for matrix_nn in batch.distance_matrices()]
        distances_nn = [matrix_nn.int() for matrix_nn in batch.distance_matrices()]
        index_E = torch.cat([(matrix_nn - matrix_nn.t() + MAX_DISTANCE).flatten() for matrix_nn in distances_nn])
        if torch.is_grad_enabled():
            # The gradient of index_select is many times slower than that of gather.
            biases_HE = table_HP.gather(1, index_E.long().expand(len(table_HP), -1))
        else:
            biases_HE = table_HP.contiguous().index_select(1, index_E)
        parts = biases_HE.split([size * size for size in batch.sizes], dim=1)
        return [part.unflatten(1, (size, size)) for part, size in zip(parts, batch.sizes, strict=True)]

    def bias_table(self, device: torch.device) -> Tensor:
        """φ of the pairs (0, 50), …, (0, 1), (0, 0), (1, 0), …, (50, 0) of distances (i→j, j→i); (P, H)."""
        differences_P = torch.arange(-MAX_DISTANCE, MAX_DISTANCE + 1, device=device)
        forward_P = differences_P.clamp(min=0) * self.forward_edges
        backward_P = (-differences_P).clamp(min=0) * self.backward_edges
        first = self[0]
        assert isinstance(first, Layer)
        return first.attn.pair_bias(forward_P, backward_P)
