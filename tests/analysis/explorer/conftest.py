"""A browser for a module's tests, with a page to open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from ghn.analysis import explore
from tests.analysis.explorer.browser import Tab, started_browser
from tests.analysis.explorer.seen import READY, WIDE, Net, Open


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return Net()


@pytest.fixture(scope="module")
def page(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = explore(model, inits=("orthogonal",), title="a net", depth=1)
    return page.save(tmp_path_factory.mktemp("pages") / "net.html")


@pytest.fixture
def opened(browser: Any, page: Path) -> Open:
    def open_tab(file: Path = page, viewport: dict[str, int] = WIDE, **options: Any) -> Tab:
        return Tab(browser, file.as_uri(), READY, viewport=viewport, **options)

    return open_tab
