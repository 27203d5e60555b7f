"""DeepNets-1M: random architectures to train hypernetworks on, and to test them."""

from ghn.deepnets.dataset import Architecture, DeepNets
from ghn.deepnets.direct_graph import graph_from_arguments
from ghn.deepnets.genotype import Genotype, NetworkArguments
from ghn.deepnets.meta_batches import MetaBatch, MetaBatches
from ghn.deepnets.network import Network, network_from_arguments
from ghn.deepnets.operations.table import OPERATIONS
from ghn.deepnets.predefined import Predefined
from ghn.deepnets.published import PublishedDeepNets, open_split, write_published
from ghn.deepnets.sample import SPLITS, Split, sample_architecture
from ghn.deepnets.space import Space
from ghn.deepnets.statistics import SplitStatistics, summarise

__all__ = [
    "OPERATIONS",
    "SPLITS",
    "Architecture",
    "DeepNets",
    "Genotype",
    "MetaBatch",
    "MetaBatches",
    "Network",
    "NetworkArguments",
    "Predefined",
    "PublishedDeepNets",
    "Space",
    "Split",
    "SplitStatistics",
    "graph_from_arguments",
    "network_from_arguments",
    "open_split",
    "sample_architecture",
    "summarise",
    "write_published",
]
