"""One file, with nothing to load and nothing that runs but its own scripts."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from ghn.analysis.explorer.page import SCRIPTS, Page, assembled, inert_json

EVIL = "</script><script>alert(1)</script><!--<script>&amp;\u2028'\"@SCRIPTS@"


class Elements(HTMLParser):
    """Tags with their attributes, and what scripts and styles hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.contents: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.contents.append((self._inside, data))


def page(title: str = EVIL) -> Page:
    return Page({"title": title})


def test_data_come_back_and_end_nothing() -> None:
    text = page().html()
    scripts = [content for kind, content in Elements(text).contents if kind == "script"]
    assert json.loads(scripts[0]) == {"title": EVIL}
    assert len(scripts) == 1 + len(SCRIPTS)
    assert "alert(1)</" not in text


@pytest.mark.parametrize("value", [EVIL, ["<!--", {"<": ">&"}], 1.5, None])
def test_inert_json(value: Any) -> None:
    text = inert_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_numbers_that_json_lacks_are_an_error() -> None:
    with pytest.raises(ValueError, match="JSON"):
        inert_json(float("nan"))


def test_the_policy_names_what_is_there_and_nothing_else() -> None:
    found = Elements(page().html())
    (policy,) = [
        attributes["content"] or ""
        for _, attributes in found.tags
        if "content-security-policy" in str(attributes).lower()
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    for kind, rule in (("script", "script-src"), ("style", "style-src")):
        contents = [content for tag, content in found.contents if tag == kind][kind == "script" :]
        digests = [base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents]
        assert rules[rule].split() == [f"'sha256-{digest}'" for digest in digests]


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = page("a model").html()
    for tag, attributes in Elements(text).tags:
        assert not {"src", "href", "style"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert not re.findall(r"@import|url\(|https?://(?!www\.w3\.org/)", text)


def test_every_script_is_used() -> None:
    folder = files("ghn.analysis.explorer") / "assets"
    assert {item.name for item in folder.iterdir() if item.name.endswith(".js")} == set(SCRIPTS)
    for name in SCRIPTS:
        text = folder.joinpath(name).read_text(encoding="utf-8")
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), name


def test_parts_are_put_in_as_they_are() -> None:
    text = assembled("@POLICY@|@STYLE@|@SCRIPTS@|@DATA@", "@DATA@ \\1", ["@STYLE@"], "@POLICY@", connect="'self'")
    policy, style, script, data = text.split("|")
    assert "connect-src 'self'" in policy
    assert (style, script, data) == ("<style>@DATA@ \\1</style>", "<script>@STYLE@</script>", '"@POLICY@"')


def test_saved_whole(tmp_path: Path) -> None:
    path = page().save(tmp_path / "x.HTML")
    assert path.read_text(encoding="utf-8") == page().html()
    assert [found.name for found in tmp_path.iterdir()] == ["x.HTML"]
    with pytest.raises(ValueError, match=r"ends in \.html or \.htm"):
        page().save(tmp_path / "x.svg")
