"""One HTML file: template, styles, scripts and data put together, with nothing to load from elsewhere.

The scripts are those of the folder `assets`, as they are written there. The page allows nothing but them: its content
security policy lists their digests. Names of modules and parameters come from others; they stand in JSON only, from
which the scripts make text and never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ghn.common.files import write_text

SCRIPTS = ("tree.js", "layout.js", "paint.js", "scene.js", "colours.js", "details.js", "search.js", "view.js", "app.js")
"""In the order of loading: each uses only those before it."""

SUFFIXES = (".html", ".htm")


@dataclass(frozen=True)
class Page:
    """A page that explores a model.

    Attributes:
        document: What it shows (see `ghn.analysis.explorer.document`).
    """

    document: Mapping[str, Any]

    def html(self) -> str:
        """The file's text."""
        assets = files("ghn.analysis.explorer") / "assets"
        return assembled(
            assets.joinpath("page.html").read_text(encoding="utf-8"),
            assets.joinpath("style.css").read_text(encoding="utf-8"),
            [assets.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS],
            self.document,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, whole or not at all; it needs no other file.

        Args:
            path: File to make or replace, .html or .htm.

        Raises:
            ValueError: For another suffix.
            OSError: If it cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path.name}: a page is a file that ends in {' or '.join(SUFFIXES)}")
        write_text(path, self.html())
        return path


def assembled(template: str, style: str, scripts: list[str], data: Any, *, connect: str = "'none'") -> str:
    """A page from its parts.

    Args:
        template: HTML with the words @POLICY@, @STYLE@, @SCRIPTS@ and @DATA@.
        style: CSS.
        scripts: JavaScript, each a classic script.
        data: For JSON.
        connect: Where scripts may ask for more, as a content security policy says it.
    """
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src {_digest(style)}",
            "script-src " + " ".join(map(_digest, scripts)),
            "img-src data: blob:",
            f"connect-src {connect}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {
        "@POLICY@": policy,
        "@STYLE@": f"<style>{style}</style>",
        "@SCRIPTS@": "\n".join(f"<script>{script}</script>" for script in scripts),
        "@DATA@": inert_json(data),
    }
    # In one pass: what is put in may hold such words.
    return re.sub("|".join(parts), lambda word: parts[word.group()], template)


def inert_json(data: Any) -> str:
    """JSON that may stand in an HTML script element: nothing in it ends the element, or begins a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
