"""A browser for tests of pages: Chromium without a window, one process for a module's tests."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("GHN_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
"""The program; where there is none, tests that need it are skipped."""


@contextmanager
def started_browser() -> Iterator[Any]:
    """A browser that Playwright drives; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: install it, or name it in GHN_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page that is open: the test fails if it says anything on the console.

    Args:
        browser: As `started_browser` gives it.
        address: What to open.
        ready: JavaScript that is true once the page can be used.
        options: Of Playwright's `new_page`: viewport, color_scheme.
    """

    def __init__(self, browser: Any, address: str, ready: str, **options: Any) -> None:
        self.said: list[str] = []
        self.page = browser.new_page(**options)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.goto(address)
        self.wait(ready)

    def wait(self, condition: str, seconds: float = 20.0) -> None:
        """Wait until JavaScript is true; asked through the debugger's door, since the page allows no `eval`."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"never came true: {condition}"
            self.page.wait_for_timeout(20)

    def _note(self, message: Any) -> None:
        # Tests look at pixels, which is slow on a canvas that is made for drawing; the page itself never does.
        if "willReadFrequently" not in message.text:
            self.said.append(f"{message.type}: {message.text}")

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.page.close()
        if kind is None:
            assert not self.said

    def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 A and AA, a line each."""
        library = pytest.importorskip("axe_playwright_python")
        source = next(Path(library.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")
        # By the debugger's door: the page itself allows no script but its own.
        self.page.evaluate(source)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        found = self.page.evaluate("tags => axe.run(document, {runOnly: tags})", tags)
        assert found["passes"], "axe-core looked at nothing"
        return [
            f"{rule['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]
