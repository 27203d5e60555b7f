"""Every page of the documentation: what it shows runs, its links lead somewhere, its code can be read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.documents import ROOT, blocks, commands, lines, options_of, pages, run_page, runnable, text

MINUTES = {
    "docs/analysis.md": "trainings for rankings, many networks",
    "docs/comparing.md": "twelve trainings",
    "docs/experiments.md": "grids of trainings",
    "docs/exploring.md": "pages of large networks",
    "docs/finetuning.md": "five trainings",
    "docs/starts.md": "several starts of large networks",
    "docs/training.md": "nine trainings of hypernetworks",
    "docs/tutorials/compare.md": "ten trainings",
    "docs/tutorials/own.md": "six trainings",
    "docs/tutorials/train.md": "a training of a hypernetwork",
    "docs/deepnets.md": "statistics of fifty networks",
}
"""Pages that take long, and why: they are run with the slow tests, and read with the others."""

LIBRARIES = ("sklearn", "torchvision", "timm", "matplotlib", "h5py")


def marked(page: str) -> Any:
    return pytest.param(page, marks=pytest.mark.slow) if page in MINUTES else page


# README wants a reader's photographs: tests/test_readme.py has some.
@pytest.mark.parametrize("page", [marked(page) for page in pages() if page != "README.md"])
def test_all_that_a_page_shows_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for library in LIBRARIES:
        pytest.importorskip(library)
    run_page(page, tmp_path, monkeypatch)


@pytest.mark.parametrize("page", pages())
def test_a_page_has_something_that_runs_and_its_code_can_be_read(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runnable(page)
    for block in blocks(page, "python"):
        compile(block.code, f"{page}:{block.line}", "exec")
    for words in commands(page):
        if "ghn" in words[:6]:
            options_of_or_overview(words[words.index("ghn") + 1 :])


def options_of_or_overview(words: list[str]) -> None:
    if words and not words[0].startswith("-"):
        options_of(words)


# Links


def anchor(title: str) -> str:
    """The end of the address of a section, on GitHub as on the site."""
    plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", title)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def sections(file: Path) -> set[str]:
    whole = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {anchor(title) for title in re.findall(r"^#+ (.*)$", whole, re.MULTILINE)}


@pytest.mark.parametrize("page", [*pages(), "CONTRIBUTING.md", "SECURITY.md", "examples/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    own = ROOT / page
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"(?:\]\(|src=\"|href=\")([^)\"\s]+)", prose):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, part = target.partition("#")
        file = (own.parent / name) if name else own
        assert file.exists(), f"{page}: {target}"
        if part and file.suffix == ".md":
            assert part in sections(file), f"{page}: {target}: there is {sorted(sections(file))}"


# The mechanism itself


PAGE = """# A page

```bash
ghn info ghn3-t-cifar10 --json  # a comment
pip install nothing
ghn predict m.py:make \\
    -o w.safetensors
```

<!-- runs: no, it would fail -->
```python
raise SystemExit
```

```text
no code
```

```python
number = 3
```

```python
from pathlib import Path

Path("here").write_text(str(number))
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "page.md").write_text(PAGE)
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    return "page.md"


def test_blocks_are_found_with_their_places(page: str) -> None:
    found = blocks(page)
    assert [block.language for block in found] == ["bash", "python", "text", "python", "python"]
    assert [block.runs for block in found] == [True, False, True, True, True]
    rows = PAGE.splitlines()
    assert [rows[block.line - 1] for block in found] == [block.code.splitlines()[0] for block in found]
    assert len(runnable(page)) == 3
    assert lines(found[0])[0] == ["ghn", "info", "ghn3-t-cifar10", "--json"]
    assert lines(found[0])[2] == ["ghn", "predict", "m.py:make", "-o", "w.safetensors"]
    with pytest.raises(ValueError, match="--nothing"):
        options_of(["info", "--nothing"])


def test_a_page_is_one_program_and_what_fails_is_noticed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(AssertionError, match=r"page\.md:4: ghn predict m\.py:make -o w\.safetensors fails"):
        run_page(page, folder, monkeypatch)
    (tmp_path / "page.md").write_text(PAGE.replace("ghn predict m.py:make \\\n    -o w.safetensors\n", ""))
    names = run_page(page, folder, monkeypatch)
    assert names["number"] == 3
    assert (folder / "here").read_text() == "3"
    (tmp_path / "page.md").write_text("```bash\ncurl nothing\n```\n")
    with pytest.raises(AssertionError, match="nobody knows how to run curl"):
        run_page(page, folder, monkeypatch)


def test_anchors_are_those_of_the_site() -> None:
    assert anchor("Why this is `safe`?") == "why-this-is-safe"
    assert anchor("Batch-norm [statistics](x.md), again") == "batch-norm-statistics-again"
