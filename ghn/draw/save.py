"""Write a graph to a file, in the format that the file's name asks for."""

from __future__ import annotations

import os
from pathlib import Path

from ghn.common.files import write_text
from ghn.draw.dot import to_dot
from ghn.draw.svg import to_svg
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.files import to_json

WRITERS = {".svg": to_svg, ".json": to_json, ".dot": to_dot, ".gv": to_dot}
"""What `save` writes, by the file's suffix."""


def save(graph: ComputationalGraph, path: str | os.PathLike[str]) -> None:
    """Write the graph to a file, whole or not at all.

    Args:
        graph: The graph.
        path: File to write; its suffix chooses the format: .svg, .json, .dot or .gv.

    Raises:
        ValueError: For another suffix.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"cannot write a graph as {path.suffix or 'a file without suffix'}: use .svg, .json or .dot")
    write_text(path, WRITERS[path.suffix.lower()](graph))
