"""Training of hypernetworks, and of single networks that start from predicted parameters."""

from ghn.train.config import MetaTrainingConfig, Space
from ghn.train.finetuning import FinetuneConfig, FinetuneResult, finetune
from ghn.train.run import train
from ghn.train.runs import RUNS, NamedRun, named_run

__all__ = [
    "RUNS",
    "FinetuneConfig",
    "FinetuneResult",
    "MetaTrainingConfig",
    "NamedRun",
    "Space",
    "finetune",
    "named_run",
    "train",
]
