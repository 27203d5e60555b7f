"""All that a page knows of a model, as plain values for JSON.

Indices stand for names wherever something is mentioned more than once. The root of the modules is number 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from torch import nn

from ghn.analysis.explorer.hierarchy import Path, modules_of, owner
from ghn.analysis.explorer.values import StartValues, Values
from ghn.common.modules import named_modules, named_parameters
from ghn.common.tensors import without_class
from ghn.common.text import printable
from ghn.draw.labels import COLOURS, label_of
from ghn.graph.computational_graph import ComputationalGraph

DIGITS = 5
"""Significant ones of a number on the page."""


def document(
    graph: ComputationalGraph, model: nn.Module, starts: Sequence[StartValues], *, title: str, depth: int | None = None
) -> dict[str, Any]:
    """What the page shows.

    Args:
        graph: Of the model.
        model: The model: for names and classes of modules, and shapes of parameters.
        starts: Values to show, the model's own first.
        title: The model's name.
        depth: Levels of modules that are open at first; None for as many as stay clear.
    """
    parameters = named_parameters(model)
    names = list(parameters)
    places = modules_of(graph)
    modules = _Modules(model)
    where = {name: index for index, node in enumerate(graph.nodes) for name in node.parameters}
    number = {name: index for index, name in enumerate(names)}
    reasons: dict[str, int] = {}
    return {
        "title": printable(title),
        "kind": type(model).__name__,
        "traced_by": graph.traced_by,
        "depth": depth,
        "colours": dict(COLOURS),
        "nodes": [
            {
                "op": node.op,
                "shape": label_of(node).shape,
                "module": modules.number(place),
                "parameters": [number[name] for name in node.parameters if name in number],
            }
            for node, place in zip(graph.nodes, places, strict=True)
        ],
        "edges": graph.edges.tolist(),
        "parameters": [
            {
                "name": printable(name),
                "module": modules.number(owner(name)),
                "node": where.get(name, -1),
                "shape": list(without_class(parameter).shape),
                "elements": prod(without_class(parameter).shape),
                "role": graph.parameters[name].role.value if name in graph.parameters else None,
                "head": name in graph.parameters and graph.parameters[name].head,
            }
            for name, parameter in parameters.items()
        ],
        "starts": [_start(start, names, reasons) for start in starts],
        "untraced": [
            [number[name], _numbered(str(reason), reasons)] for name, reason in graph.kept.items() if name in number
        ],
        "modules": modules.found,
        "reasons": list(reasons),
    }


def _start(start: StartValues, names: Sequence[str], reasons: dict[str, int]) -> dict[str, Any]:
    """Of each parameter its values, and the number of the reason for which it was kept, -1 where it was set."""
    return {
        "name": printable(start.name),
        "notes": [printable(note) for note in start.notes],
        "kept": [_numbered(start.kept[name], reasons) if name in start.kept else -1 for name in names],
        "values": [_plain(start.values.get(name)) for name in names],
    }


def _numbered(reason: str, reasons: dict[str, int]) -> int:
    return reasons.setdefault(printable(reason), len(reasons))


def _plain(values: Values | None) -> list[Any] | None:
    """Norm, mean, deviation, least, most, elements that are not finite, counts."""
    if values is None:
        return None
    numbers = (values.norm, values.mean, values.std, values.least, values.most)
    return [*(float(f"{number:.{DIGITS}g}") for number in numbers), values.strange, list(values.counts)]


class _Modules:
    """Numbers for the modules that the page shows: those that something belongs to, and what contains them."""

    def __init__(self, model: nn.Module) -> None:
        self._kinds: Mapping[str, str] = {name: type(module).__name__ for name, module in named_modules(model)}
        self._numbers: dict[Path, int] = {(): 0}
        self.found: list[dict[str, Any]] = [{"name": "", "parent": -1, "kind": type(model).__name__}]

    def number(self, path: Path) -> int:
        """Of the module, which is added with those above it where it is new."""
        missing = []
        while path not in self._numbers:
            missing.append(path)
            path = path[:-1]
        for new in reversed(missing):
            parent = self._numbers[new[:-1]]
            kind = self._kinds.get(".".join(new), "")
            self._numbers[new] = len(self.found)
            self.found.append({"name": printable(new[-1]), "parent": parent, "kind": kind})
        return self._numbers[missing[0]] if missing else self._numbers[path]
