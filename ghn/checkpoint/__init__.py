"""Checkpoints: load and save hypernetworks, and read released ones without executing them."""

from ghn.checkpoint.card import model_card
from ghn.checkpoint.convert import convert_checkpoint
from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.load import describe, load_pretrained
from ghn.checkpoint.save import save_pretrained

__all__ = ["CheckpointError", "convert_checkpoint", "describe", "load_pretrained", "model_card", "save_pretrained"]
