"""The page over HTTP, and in a browser."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ghn.analysis.curves.logs import Logs
from ghn.analysis.curves.server import ADDRESS, Server, page_of
from ghn.training.logbook import FILE
from tests.analysis.curves.test_logs import line
from tests.analysis.explorer.browser import Tab, started_browser

EVIL = "<script>alert(1)</script>"
READY = "window.watch !== undefined"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("first", EVIL.replace("/", "")):
        (tmp_path / name).mkdir()
        text = "".join(line(step, loss=2 / step, accuracy=step / 40, memory_gb=1.5) for step in range(1, 30))
        (tmp_path / name / FILE).write_text(text)
    return tmp_path


@pytest.fixture
def server(runs: Path) -> Iterator[Server]:
    with Server(runs, seconds=0.2) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answer(server: Server, path: str, host: str | None = None) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=10)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text, response.headers


def test_the_page_and_its_data(server: Server, runs: Path) -> None:
    status, text, headers = answer(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "connect-src 'self'" in text
    assert EVIL not in text
    status, text, _ = answer(server, "/data")
    assert status == 200
    before = json.loads(text)
    assert len(before["runs"]) == 2
    with open(runs / "first" / FILE, "a") as opened:
        opened.write(line(30, loss=float("nan")))
    after = json.loads(answer(server, "/data")[1])
    (first,) = (run for run in after["runs"] if run["name"] == "first")
    assert first["curves"]["loss"][0][-1] == 30
    assert first["curves"]["loss"][1][-1] is None


@pytest.mark.parametrize("path", ["/x", "/../etc/passwd", "/data/", f"/{FILE}"])
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert answer(server, path)[0] == 404


def test_other_pages_learn_nothing(server: Server) -> None:
    """A page from elsewhere whose name was made to lead here."""
    assert answer(server, "/data", host="evil.example:80")[0] == 403
    assert answer(server, "/data", host=f"localhost:{server.server_port}")[0] == 200
    assert "Access-Control-Allow-Origin" not in answer(server, "/data")[2]


def test_only_this_machine_is_served(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_gives_way(runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Server(runs, port=port) as server:
            assert port < server.server_port < port + 20


def test_a_page_that_stays(runs: Path) -> None:
    text = page_of(Logs(runs), seconds=None)
    assert "connect-src 'none'" in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as browser:
        yield browser


def test_curves_in_the_browser_grow(server: Server, runs: Path, browser: Any) -> None:
    with Tab(browser, server.url, READY, viewport={"width": 1200, "height": 800}) as tab:
        page = tab.page
        assert page.locator("#main figcaption").all_inner_texts() == ["loss", "accuracy (share, 0 to 1)"]
        assert page.locator("#main figure").first.locator("path.curve").count() == 2
        assert EVIL.replace("/", "") in page.inner_text("#runs")
        assert page.locator("#runs tbody tr", has_text="first").locator("td").nth(1).inner_text() == "29"
        with open(runs / "first" / FILE, "a") as opened:
            opened.write(line(31, loss=0.01, validation_accuracy=0.5) + '{"step": 32, "lo')
        tab.wait("document.querySelectorAll('#main figure').length === 3")
        assert page.locator("#runs tbody tr", has_text="first").locator("td").nth(1).inner_text() == "31"
        page.get_by_label("first").uncheck()
        assert page.locator("#main figure").first.locator("path.curve").count() == 1
        page.get_by_label("logarithmic loss").check()
        assert "log scale" in page.inner_text("#main")
        page.click("#more summary")
        tab.wait("document.querySelectorAll('#others figcaption').length > 0")  # a details element tells of it later
        assert page.locator("#others figcaption").all_inner_texts() == ["memory_gb (GB)"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers(server: Server, browser: Any, scheme: str) -> None:
    with Tab(browser, server.url, READY, color_scheme=scheme) as tab:
        assert tab.violations() == []
    with Tab(browser, server.url, READY, viewport={"width": 360, "height": 640}, color_scheme=scheme) as tab:
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
        tab.page.click("#more summary")
        tab.wait("document.querySelectorAll('#others figcaption').length > 0")
        assert tab.violations() == []


def test_a_page_on_disk(runs: Path, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(page_of(Logs(runs), seconds=None))
    with Tab(browser, (tmp_path / "x.html").as_uri(), READY) as tab:
        assert "as it was" in tab.page.inner_text("#state")
        assert tab.page.locator("#main path.curve").count() == 4


def test_the_page_stays_when_the_server_ends(runs: Path, browser: Any) -> None:
    with Server(runs, seconds=0.2) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        tab = Tab(browser, server.url, READY)
        server.shutdown()
        thread.join()
    tab.wait("document.getElementById('state').textContent.includes('the server has ended')")
    assert tab.page.locator("#main path.curve").count() == 4
    tab.page.close()


def test_a_folder_without_logs(tmp_path: Path, browser: Any) -> None:
    (tmp_path / "x.html").write_text(page_of(Logs(tmp_path), seconds=None))
    with Tab(browser, (tmp_path / "x.html").as_uri(), READY) as tab:
        assert tab.page.locator("figure").count() == 0


@pytest.mark.parametrize("values", [(2.30211, 1e-5), (0.1, 1e-9), (123456.0, 0.01), (5e-8, 1e-11), (1.0, 1.0)])
def test_numbers_at_an_axis_differ_and_are_not_cut(values: tuple[float, float], tmp_path: Path, browser: Any) -> None:
    begin, step = values
    (tmp_path / FILE).write_text("".join(line(10**7 + number, loss=begin + step * number) for number in range(9)))
    (tmp_path / "x.html").write_text(page_of(Logs(tmp_path), seconds=None))
    with Tab(browser, (tmp_path / "x.html").as_uri(), READY) as tab:
        for logarithmic in (False, True):
            tab.page.get_by_label("logarithmic loss").set_checked(logarithmic)
            texts = tab.page.locator("#main svg text[text-anchor=end]").all_text_contents()
            assert len(set(texts)) == len(texts) > 2
            steps = tab.page.locator("#main svg text[text-anchor=middle]").all_text_contents()
            assert len(set(steps)) == len(steps)
            boxes = tab.page.evaluate(
                "[...document.querySelectorAll('#main svg text')].map(it => it.getBBox())"
                ".map(it => [it.x, it.y, it.x + it.width, it.y + it.height])"
            )
            assert all(left >= 0 and right <= 440 for left, _, right, _ in boxes)
            for number, first in enumerate(boxes):
                for second in boxes[number + 1 :]:
                    beside = first[2] <= second[0] or second[2] <= first[0]
                    assert beside or first[3] <= second[1] + 1 or second[3] <= first[1] + 1, (first, second)
        tab.page.screenshot(path=str(tmp_path / "x.png"))
