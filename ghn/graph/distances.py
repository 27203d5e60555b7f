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
    adjacency = csr_array(
        (np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(node_count, node_count)
    )
    lengths = shortest_path(adjacency, method="D", directed=True, unweighted=True)
    lengths[~(lengths <= max_distance)] = 0
    distances = lengths.astype(np.int64)
    distances.setflags(write=False)
    return distances
