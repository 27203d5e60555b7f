"""Meta-training: training a hypernetwork on many target networks at once."""

from ghn.meta.config import MetaTrainingConfig, Space
from ghn.meta.run import train
from ghn.meta.runs import RUNS, NamedRun, named_run

__all__ = ["RUNS", "MetaTrainingConfig", "NamedRun", "Space", "named_run", "train"]
