"""Shortest directed paths, the "virtual edges" of GHN-2 (Knyazev et al., NeurIPS 2021, eq. 4)."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

MAX_DISTANCE = 50
"""Longer paths count as no path."""


def shortest_paths(node_count: int, edges: NDArray[np.int64], max_distance: int = MAX_DISTANCE) -> NDArray[np.int64]:
    """Lengths of the shortest directed paths between all pairs of nodes.

    Args:
        node_count: N.
        edges: (E, 2), pairs (producer, consumer).
        max_distance: Paths longer than this become 0.

    Returns:
        (N, N) int64; entry (i, j) is the length of the shortest path from i to j, 0 where there is none (and on the
        diagonal). Read-only.
    """
    lengths = shortest_path(adjacency(node_count, edges), method="D", directed=True, unweighted=True)
    lengths[~(lengths <= max_distance)] = 0
    distances = lengths.astype(np.int64)
    distances.setflags(write=False)
    return distances


def adjacency(node_count: int, edges: NDArray[np.int64]) -> csr_array:
    """Matrix with a one for each of the `edges`, for SciPy's searches.

    Returns:
        (N, N) int8, with indices of 32 bits: SciPy 1.11's searches take no others.
    """
    producers, consumers = edges.T.astype(np.int32)
    return csr_array((np.ones(len(edges), dtype=np.int8), (producers, consumers)), shape=(node_count, node_count))
