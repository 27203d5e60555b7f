"""Predict good initial parameters for any PyTorch model with graph hypernetworks.

import ghn

hypernet = ghn.from_pretrained("ghn3-t-cifar10")
report = hypernet.initialize(model)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ghn.common.moved import keep_old_names

if TYPE_CHECKING:
    from ghn import analysis, deepnets, initializers
    from ghn.checkpoint import CheckpointError, convert_checkpoint
    from ghn.finetuning import finetune
    from ghn.graph import ComputationalGraph, Node, ParameterSpec
    from ghn.graph.trace import TraceError, trace
    from ghn.hypernet import GHNConfig
    from ghn.initialization import InitReport
    from ghn.initializers import calibrate
    from ghn.model import GHN, from_pretrained, initialize, initialize_many, predict, predict_many

__version__ = "0.2.0"

__all__ = [
    "GHN",
    "CheckpointError",
    "ComputationalGraph",
    "GHNConfig",
    "InitReport",
    "Node",
    "ParameterSpec",
    "TraceError",
    "analysis",
    "calibrate",
    "convert_checkpoint",
    "deepnets",
    "finetune",
    "from_pretrained",
    "initialize",
    "initialize_many",
    "initializers",
    "predict",
    "predict_many",
    "trace",
]

_HOMES = {
    "GHN": "ghn.model",
    "CheckpointError": "ghn.checkpoint",
    "ComputationalGraph": "ghn.graph",
    "GHNConfig": "ghn.hypernet",
    "InitReport": "ghn.initialization",
    "Node": "ghn.graph",
    "ParameterSpec": "ghn.graph",
    "TraceError": "ghn.graph.trace",
    "calibrate": "ghn.initializers",
    "convert_checkpoint": "ghn.checkpoint",
    "finetune": "ghn.finetuning",
    "from_pretrained": "ghn.model",
    "initialize": "ghn.model",
    "initialize_many": "ghn.model",
    "predict": "ghn.model",
    "predict_many": "ghn.model",
    "trace": "ghn.graph.trace",
}


keep_old_names()


# PyTorch takes seconds to import: `ghn --help` and completion do without it.
def __getattr__(name: str) -> Any:
    if name in ("analysis", "deepnets", "evaluate", "initializers"):
        return import_module(f"ghn.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ghn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
