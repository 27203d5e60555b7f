"""Graph hypernetworks: from a computational graph to the parameters of its network."""

from ghn.hypernet.batch import GraphBatch
from ghn.hypernet.config import PRESETS, GHNConfig
from ghn.hypernet.ghn import GHN

__all__ = ["GHN", "PRESETS", "GHNConfig", "GraphBatch"]
