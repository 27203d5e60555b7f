"""Initialise a model with the parameters that a hypernetwork predicts for it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ghn.graph.computational_graph import ComputationalGraph
from ghn.hypernet.ghn import GHN
from ghn.hypernet.keep import HeadOption
from ghn.initialization.report import InitReport
from ghn.initialization.wish import Wish


def initialize(
    hypernet: GHN,
    model: nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    graph: ComputationalGraph | None = None,
) -> InitReport:
    """Predict the parameters of `model` and write them into it.

    Lazy modules get their shapes first. Nothing but parameters changes: no buffer, mode, gradient, `requires_grad` or
    random state. The model is traced, and everything is decoded and checked, before the first value is written, so that
    an error leaves it as it was.

    Args:
        hypernet: The hypernetwork, on any device.
        model: The model, on any device but meta; parameters of any floating-point type, frozen or tied ones too.
        example_inputs: What to call the model with, if not one image (see `ghn.trace`).
        seed: Governs what is drawn: the class-token rows of position tables.
        head: `keep` leaves a classification head with another number of classes than the hypernetwork's as it is,
            `predict` decodes it as an ordinary weight.
        strict: Least fraction of elements to predict, between 0 and 1; no limit by default.
        graph: The model's graph, if it was traced before.

    Raises:
        ValueError: If the model has no parameters, is on the meta device, cannot be traced, less than `strict` (or
            `strict` is no fraction) would be predicted, or a prediction is not finite.
    """
    wish = Wish(hypernet=hypernet, example_inputs=example_inputs, seed=seed, head=head, strict=strict)
    return wish.initialize([wish.prepared_to_write(model, graph)])[0]


def predict(
    hypernet: GHN,
    model: nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    head: HeadOption = "keep",
    strict: float | None = None,
    graph: ComputationalGraph | None = None,
    complete: bool = False,
) -> dict[str, Tensor]:
    """Predict the parameters of `model`, which is left as it is.

    Args:
        hypernet: The hypernetwork, on any device.
        model: The model, on any device, meta too.
        example_inputs: As in `initialize`.
        seed: As in `initialize`.
        head: As in `initialize`.
        strict: As in `initialize`.
        graph: As in `initialize`.
        complete: Give all that `load_state_dict(..., strict=True)` takes: also the parameters that are kept, every name
            of tied ones, buffers and extra state, as copies. Buffers are the model's own: running statistics of batch
            norms are not predicted (`GHN.predict` sets them where asked to).

    Returns:
        New tensors by name, in the order of `model.named_parameters()` (of `model.state_dict()` if complete), each of
        its parameter's type and on its parameter's device (the CPU for meta). Parameters that are not predicted are
        left out unless complete.

    Raises:
        ValueError: As `initialize`, but for the meta device; if complete, where a tensor that is kept has no numbers.
    """
    wish = Wish(hypernet=hypernet, example_inputs=example_inputs, seed=seed, head=head, strict=strict)
    return wish.predict([wish.prepared(model, graph)], complete=complete)[0]
