"""The primitive operations that nodes of a computational graph are made of.

Source: DeepNets-1M (Knyazev et al., NeurIPS 2021, table 1).
"""

from collections.abc import Mapping
from types import MappingProxyType

PRIMITIVES = (
    "max_pool",
    "avg_pool",
    "sep_conv",
    "dil_conv",
    "conv",
    "msa",
    "cse",
    "sum",
    "concat",
    "input",
    "bias",
    "bn",
    "ln",
    "pos_enc",
    "glob_avg",
)
"""The vocabulary `deepnets1m`; a primitive's position is its row in a hypernetwork's embedding table."""


PRIMITIVE_INDEX: Mapping[str, int] = MappingProxyType({name: index for index, name in enumerate(PRIMITIVES)})
"""Row of each primitive in the tables of trained hypernetworks."""
