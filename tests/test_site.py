"""The documentation site: its reference has all that is public, its pages lead nowhere that is not there.

`$GHN_SITE` names a site that was built; where it is not set, the tests that need one build it, with the slow ones.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

import ghn
from tests.documents import ROOT, text

built = [pytest.mark.slow] if "GHN_SITE" not in os.environ else []


def public_rooms() -> dict[str, ModuleType]:
    """Packages with a list of public names, by their name."""
    found = {"ghn": ghn}
    for room in pkgutil.iter_modules(ghn.__path__, "ghn."):
        module = importlib.import_module(room.name) if room.ispkg else None
        if module is not None and hasattr(module, "__all__"):
            found[room.name] = module
    return found


def pages_of_rooms() -> list[str]:
    pages = (ROOT / "docs" / "reference").glob("*.md")
    return [
        name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def test_each_public_room_has_its_page() -> None:
    rooms, shown = set(public_rooms()), pages_of_rooms()
    assert {"ghn", "ghn.initializers", "ghn.finetuning"} <= rooms
    assert rooms <= set(shown), "write docs/reference/ROOM.md"
    assert len(set(shown)) == len(shown)


def names_of(room: str, module: ModuleType) -> list[set[str]]:
    """For each public name the addresses that its entry may have."""
    wanted = []
    for name in module.__all__:
        found = getattr(module, name)
        own = f"{getattr(found, '__module__', room)}.{getattr(found, '__qualname__', name)}"
        wanted.append({f"{room}.{name}", own})
    return wanted


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `mkdocs build --strict` makes it."""
    if "GHN_SITE" in os.environ:
        return Path(os.environ["GHN_SITE"]).resolve()
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """Links, anchors and what a page loads."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag in ("script", "img", "iframe", "source") and "src" in given:
            self.loads.add(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload") and "href" in given:
            self.loads.add(given["href"])


class TestBuilt:
    pytestmark = built

    def test_every_public_name_has_its_entry(self, site: Path) -> None:
        inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
        entries = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
        missing = [
            min(either)
            for room, module in public_rooms().items()
            for either in names_of(room, module)
            if not either & entries
        ]
        assert missing == []

    def test_no_page_leads_to_what_is_not_there(self, site: Path) -> None:
        files = {file: Page(file) for file in site.rglob("*.html")}
        assert len(files) > 20
        broken = []
        for file, page in files.items():
            if file.name == "404.html":  # shown at any address: its links are those of the whole site's address
                continue
            for link in page.links | page.loads:
                parts = urlsplit(link)
                if parts.scheme or parts.netloc:
                    continue
                target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
                target = target / "index.html" if target.is_dir() else target
                anchor = unquote(parts.fragment)
                there = target.is_file() and (not anchor or target.suffix != ".html" or anchor in files[target].anchors)
                if not there:
                    broken.append(f"{file.relative_to(site)}: {link}")
        assert broken == []

    def test_pages_load_nothing_from_elsewhere(self, site: Path) -> None:
        loaded = {link for file in site.rglob("*.html") for link in Page(file).loads}
        assert [link for link in loaded if urlsplit(link).netloc and not link.startswith("https://ghn-dev")] == []

    def test_every_page_of_the_repository_is_there_without_comments(self, site: Path) -> None:
        for page in (ROOT / "docs").rglob("*.md"):
            name = page.relative_to(ROOT / "docs").with_suffix("")
            file = site / (name.parent if name.name == "index" else name) / "index.html"
            assert file.is_file(), page
            assert "<!-- runs" not in file.read_text(encoding="utf-8")
        assert not list(site.rglob("*.py"))


def hooked(markdown: str, page: str) -> str:
    """What the hook makes of a page's text."""
    names: dict[str, object] = {}
    exec(text("docs/hooks.py"), names)
    hook = names["on_page_markdown"]
    assert callable(hook)
    config = {"docs_dir": str(ROOT / "docs"), "repo_url": "https://example.org/ghn"}
    return str(hook(markdown, page=SimpleNamespace(file=SimpleNamespace(src_uri=page)), config=config))


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("starts.md", "[x](../benchmarks/results)", "[x](https://example.org/ghn/tree/main/benchmarks/results)"),
        (
            "starts.md",
            "[x](../README.md#installation)",
            "[x](https://example.org/ghn/blob/main/README.md#installation)",
        ),
        ("tutorials/own.md", "[x](../comparing.md)", "[x](../comparing.md)"),
        ("tutorials/own.md", "[x](../../examples)", "[x](https://example.org/ghn/tree/main/examples)"),
        ("tutorials/own.md", "[x](train.md) [y](https://a.b/../c)", "[x](train.md) [y](https://a.b/../c)"),
        ("index.md", "<!-- runs: no, it downloads -->\n```bash\n", "```bash\n"),
    ],
)
def test_links_out_of_the_site_lead_to_the_repository(page: str, link: str, expected: str) -> None:
    assert hooked(link, page) == expected
