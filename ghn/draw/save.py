"""Write a graph to a file, in the format that the file's name asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from ghn.common.files import replaced
from ghn.draw.dot import to_dot
from ghn.draw.plotted import to_pdf, to_png
from ghn.draw.svg import to_svg
from ghn.graph.computational_graph import ComputationalGraph
from ghn.graph.files import to_json

PICTURES: Mapping[str, Callable[..., str | bytes]] = MappingProxyType({".svg": to_svg, ".png": to_png, ".pdf": to_pdf})
"""What draws a graph, by the file's suffix; takes `fold`."""

TEXTS: Mapping[str, Callable[[ComputationalGraph], str]] = MappingProxyType(
    {".json": to_json, ".dot": to_dot, ".gv": to_dot}
)
"""What writes all of a graph, by the file's suffix."""

WRITERS = MappingProxyType({**PICTURES, **TEXTS})
"""What `save` writes, by the file's suffix."""


def save(graph: ComputationalGraph, path: str | os.PathLike[str], *, fold: bool = True) -> None:
    """Write the graph to a file, whole or not at all.

    Args:
        graph: The graph.
        path: File to write; its suffix chooses the format: .svg, .png, .pdf, .json, .dot or .gv.
        fold: In a picture, draw equal blocks that follow each other once, in a frame with the number of times.

    Raises:
        ValueError: For another suffix, or for .png and .pdf without matplotlib.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        what = path.suffix or "a file without suffix"
        raise ValueError(f"cannot write a graph as {what}: use .svg, .png, .pdf, .json or .dot")
    content = PICTURES[suffix](graph, fold=fold) if suffix in PICTURES else TEXTS[suffix](graph)
    with replaced(path) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
