"""Training a single network from given parameters, predicted or random."""

from ghn.finetune.finetuning import FinetuneConfig, FinetuneResult, finetune

__all__ = ["FinetuneConfig", "FinetuneResult", "finetune"]
