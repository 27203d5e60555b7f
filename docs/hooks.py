"""What makes a page of the repository one of the site; `mkdocs.yml` names this file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(\]\(|src=\")((?:\.\./)[^)\"\s#]+)")
COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """The page without comments; links to files of the repository that are not of the site lead to the repository."""
    docs = Path(config["docs_dir"])
    folder = (docs / page.file.src_uri).parent

    def outwards(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / match[2]))
        if target.is_relative_to(docs):
            return match[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"{match[1]}{config['repo_url']}/{kind}/main/{target.relative_to(docs.parent).as_posix()}"

    return COMMENT.sub("", LINK.sub(outwards, markdown))
