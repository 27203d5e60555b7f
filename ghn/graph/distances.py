"""Shortest directed paths, the "virtual edges" of GHN-2 (Knyazev et al., NeurIPS 2021, eq. 4)."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

MAX_DISTANCE = 50
"""Longer paths count as no path."""


def shortest_paths(
    node_count: int, edges: NDArray[np.int64], max_distance: int = MAX_DISTANCE
) -> NDArray[np.signedinteger]:
    """Lengths of the shortest directed paths between all pairs of nodes of an acyclic graph.

    From the last node to the first, a node's row is the least of its successors' rows, plus one: a pass over N
    numbers of a byte for each edge.

    Args:
        node_count: N.
        edges: (E, 2), pairs (producer, consumer), producers before consumers.
        max_distance: Paths longer than this become 0.

    Returns:
        (N, N); entry (i, j) is the length of the shortest path from i to j, 0 where there is none (and on the
        diagonal). Of the smallest signed type that holds the lengths, int8 by default. Read-only.
    """
    dtype = np.min_scalar_type(-(max_distance + 3))
    none = max_distance + 1
    lengths = np.full((node_count, node_count), none, dtype=dtype)
    ordered = edges[np.argsort(edges[:, 0], kind="stable")]
    bounds = np.searchsorted(ordered[:, 0], np.arange(node_count + 1)).tolist()
    for node in range(node_count - 1, -1, -1):
        following = ordered[bounds[node] : bounds[node + 1], 1]
        if not len(following):
            continue
        row, first = lengths[node], int(following.min())
        reached = row[first:]
        if len(following) == 1:
            np.add(lengths[first, first:], 1, out=reached)
        else:
            np.minimum.reduce(lengths[following, first:], axis=0, out=reached)
            reached += 1
        np.minimum(reached, none, out=reached)
        row[following] = 1
    lengths[lengths == none] = 0
    lengths.setflags(write=False)
    return lengths


def adjacency(node_count: int, edges: NDArray[np.int64]) -> csr_array:
    """Matrix with a one for each of the `edges`, for SciPy's searches.

    Returns:
        (N, N) int8, with indices of 32 bits: SciPy 1.11's searches take no others.
    """
    producers, consumers = edges.T.astype(np.int32)
    return csr_array((np.ones(len(edges), dtype=np.int8), (producers, consumers)), shape=(node_count, node_count))
