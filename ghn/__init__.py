"""Predict good initial parameters for any PyTorch model with graph hypernetworks.

    import ghn

    hypernet = ghn.from_pretrained("user/repo")
    report = hypernet.initialize(model)
"""

from ghn import deepnets
from ghn.checkpoint import CheckpointError, convert_checkpoint, from_pretrained
from ghn.graph import ComputationalGraph, Node, ParameterSpec
from ghn.graph.trace import TraceError, trace
from ghn.hypernet import GHN, GHNConfig
from ghn.initialize import InitReport

__version__ = "0.1.0"

__all__ = [
    "GHN",
    "CheckpointError",
    "ComputationalGraph",
    "GHNConfig",
    "InitReport",
    "Node",
    "ParameterSpec",
    "TraceError",
    "convert_checkpoint",
    "deepnets",
    "from_pretrained",
    "trace",
]
