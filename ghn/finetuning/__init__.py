"""Training a single network from given parameters, predicted or random."""

from ghn.finetuning.config import FinetuneConfig
from ghn.finetuning.run import FinetuneResult, finetune

__all__ = ["FinetuneConfig", "FinetuneResult", "finetune"]
