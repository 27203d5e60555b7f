"""Weight selection: every tensor out of a trained network, of the same family or of any other architecture.

Source: Xu et al., Initializing Models with Larger Ones, ICLR 2024: within a family the first N layers of each stage,
component by component, evenly spaced elements along each axis. Here the two computational graphs say what corresponds
to what (`alignment`, `counterparts`), and axes may also be smaller than ours (`fit`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghn.graph.trace import TraceError
from ghn.initializers.report import Batch, StartReport
from ghn.initializers.transfer.counterparts import Counterparts, Piece, counterparts
from ghn.initializers.transfer.network import Network
from ghn.initializers.transfer.sources import TrainedModel, trained_model
from ghn.initializers.transfer.tailor import tailor

ZERO = "0"
"""Where a bias comes from whose layer has none in the source."""


class WeightSelection:
    """Takes every tensor from a trained model: see this module.

    Args:
        source: The trained model, of any architecture; read, never changed.
        example_inputs: What to trace it with, as `ghn.trace` takes them.
    """

    needs_images = 0

    def __init__(self, source: nn.Module, *, example_inputs: Any = None) -> None:
        self.name = "weight-selection"
        self._text = ""
        self._source: TrainedModel | None = TrainedModel(model=source, example_inputs=example_inputs)

    @classmethod
    def named(cls, text: str | None = None) -> WeightSelection:
        """From a source that a text names, which is loaded when it is needed: see `sources.trained_model`."""
        if not text:
            raise ValueError("weight-selection takes a trained model: MODEL@FILE, e.g. resnet50@resnet50.pth, or MODEL")
        made = cls.__new__(cls)
        made.name, made._text, made._source = f"weight-selection:{text}", text, None
        return made

    @property
    def files(self) -> list[Path]:
        """The file of weights that a text names."""
        _, at, file = self._text.rpartition("@")
        return [Path(file).expanduser()] if at else []

    @property
    def source(self) -> TrainedModel:
        """The trained model; raises `ValueError` in one line if a text names none that can be had."""
        if self._source is None:
            self._source = trained_model(self._text)
        return self._source

    @torch.no_grad()
    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Set parameters and buffers; the report's notes say where each comes from."""
        given = None if batches is None else next(iter(batches), None)
        images = None if given is None else given[0][:2]
        ours, theirs = Network(model, images), _read(self.source, images)
        found = counterparts(ours, theirs)
        made, reasons = tailor(ours, theirs, found)
        if not ours.layers.keys() & made.keys():
            raise ValueError(
                f"{self.name} shares nothing with {type(model).__name__}: no layer of {type(theirs.model).__name__} is "
                "like one of its layers; take another source"
            )
        for name, value in made.items():
            ours.tensors[name].copy_(value)
        reasons |= found.reasons
        kept = {name: reasons.get(name, "nothing is known of it") for name in ours.tensors if name not in made}
        return StartReport(name=self.name, changed=tuple(made), kept=kept, notes=_notes(ours, found, made))


def _read(source: TrainedModel, images: Tensor | None) -> Network:
    """The source's graph, on the target's images where its own inputs cannot be guessed."""
    try:
        return Network(source.model, source.example_inputs)
    except TraceError:
        if images is None or source.example_inputs is not None:
            raise
        return Network(source.model, images)


def _notes(ours: Network, found: Counterparts, made: Mapping[str, Tensor]) -> tuple[str, ...]:
    sources = {**found.sources, **dict.fromkeys(found.absent, ZERO)}
    absorbed = {name: f" with {next(iter(norm.parameters.values()))}" for name, norm in found.folded.items()}
    together = {name: ", ".join(_said(piece) for piece in pieces) for name, pieces in found.pieces.items()}
    taken = {source for name, source in sources.items() if name in made} - {ZERO}
    return (
        f"{len(made)} of {len(ours.tensors)} tensors from {len(taken)} of the source",
        *(f"{name} <- {together.get(name, sources[name])}{absorbed.get(name, '')}" for name in made),
    )


def _said(piece: Piece) -> str:
    return piece.source if piece.count == 1 else f"{piece.source} ({piece.index + 1}/{piece.count})"
