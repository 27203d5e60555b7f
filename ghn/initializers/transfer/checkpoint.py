"""The start that a file holds: a network's own weights, as some training or prediction left them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from ghn.checkpoint.weights import read_weights
from ghn.initializers.report import Batch, StartReport
from ghn.initializers.transfer.weights import load_weights


class Checkpoint:
    """Parameters and buffers of a file: `checkpoint:FILE` in a chain, or the file's name alone.

    Args:
        file: As `ghn.checkpoint.weights.read_weights` takes it.
    """

    needs_images = 0

    def __init__(self, file: str | None = None) -> None:
        if not file:
            raise ValueError("checkpoint takes a file, e.g. checkpoint:resnet50.safetensors")
        self.file = file
        self.name = f"checkpoint:{file}"
        self.files = [Path(file).expanduser()]

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Load the file; a head of another number of classes stays as it is."""
        given = None if batches is None else next(iter(batches), None)
        weights = read_weights(self.file)
        changed, kept = load_weights(model, weights, self.file, None if given is None else given[0][:2])
        return StartReport(name=self.name, changed=changed, kept=kept)
