"""Make a page that explores a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from ghn.analysis.explorer.document import document
from ghn.analysis.explorer.page import Page
from ghn.analysis.explorer.values import own_values, values_by_start
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.trace import materialise, trace
from ghn.initializers.report import Batch


def explore(
    model: nn.Module,
    example_inputs: Any = None,
    *,
    inits: Sequence[str] = ("ghn",),
    batches: Iterable[Batch] | None = None,
    seed: int = 0,
    title: str | None = None,
    depth: int | None = None,
    graph: ComputationalGraph | None = None,
) -> Page:
    """Look at a model in the browser: its graph by modules, and what starts make of its parameters.

    Args:
        model: Any module, left as it is. On the meta device there are no values to show.
        example_inputs: What to call it with (see `ghn.trace`).
        inits: Starts whose values stand beside the model's own, as `ghn.initializers.create` takes them; none shows the
            model's own alone.
        batches: Images (B, 3, H, W) with labels, for starts that need some.
        seed: Governs what starts draw.
        title: The model's name; by default its class.
        depth: Levels of modules that are open at first, 0 for none; None for as many as stay clear.
        graph: The model's graph, if it was traced before.

    Returns:
        The page; `page.save("model.html")` writes it as one file that works without a network.

    Raises:
        ValueError: If the model cannot be traced, a start is unknown or cannot be made for it, or depth is negative.
    """
    if depth is not None and depth < 0:
        raise ValueError(f"depth must be at least 0, not {depth}")
    if inits:
        materialise(model, example_inputs)
    if graph is None:
        graph = trace(model, example_inputs)
    starts = [own_values(model), *values_by_start(model, inits, batches, seed=seed)]
    return Page(document(graph, model, starts, title=title or type(model).__name__, depth=depth))
