"""Training a single network from given parameters, predicted or random."""

from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.images import Data, open_data
from ghn.finetuning.result import FinetuneResult, HistoryPoint
from ghn.finetuning.run import finetune
from ghn.finetuning.search import search

__all__ = ["Data", "FinetuneConfig", "FinetuneResult", "HistoryPoint", "finetune", "open_data", "search"]
