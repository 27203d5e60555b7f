"""Training a single network from given parameters, predicted or random."""

from ghn.finetune.config import FinetuneConfig
from ghn.finetune.run import FinetuneResult, finetune

__all__ = ["FinetuneConfig", "FinetuneResult", "finetune"]
