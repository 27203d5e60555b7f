"""The page in a real browser: where things are drawn, and models of odd names and shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from ghn.analysis import explore
from tests.analysis.explorer.browser import Tab
from tests.analysis.explorer.seen import READY, WIDE, Open, boxes, text
from tests.draw.graphs import HOSTILE


def test_texts_fit_their_boxes(opened: Open) -> None:
    with opened() as tab:
        tab.page.click("#open-all")
        spare = tab.page.evaluate(
            """explorer.scene.boxes.filter(({item}) => item.kind === "node").map(({item, w}) => {
                const [op, shape] = nodeTitle(item);
                const first = textWidth(op, 12, 600) + (shape ? 8 + textWidth(shape, 12, 400) : 0);
                return w - Math.max(first, textWidth(shortened(item.label, 40), 10.5, 400));
            })"""
        )
        assert min(spare) >= 16 - 1e-6


def test_boxes_do_not_overlap_and_lie_in_their_modules(opened: Open) -> None:
    with opened() as tab:
        tab.page.click("#open-all")
        found = tab.page.evaluate(
            "explorer.scene.boxes.map(({item, x, y, w, h}) => ({id: item.id, parent: item.parent.id, x, y, w, h}))"
        )
    by_id = {box["id"]: box for box in found}
    for box in found:
        above = by_id.get(box["parent"])
        if above:
            assert above["x"] <= box["x"], box
            assert box["x"] + box["w"] <= above["x"] + above["w"] + 1e-6, box
            assert above["y"] <= box["y"], box
            assert box["y"] + box["h"] <= above["y"] + above["h"] + 1e-6, box
        for other in found:
            if other["parent"] == box["parent"] and other is not box:
                apart = (
                    box["x"] + box["w"] <= other["x"] + 1e-6
                    or other["x"] + other["w"] <= box["x"] + 1e-6
                    or box["y"] + box["h"] <= other["y"] + 1e-6
                    or other["y"] + other["h"] <= box["y"] + 1e-6
                )
                assert apart, (box, other)


class Hostile(nn.Module):
    """Its layers are named by whoever wants to run something."""

    def __init__(self) -> None:
        super().__init__()
        self.names = [name.replace(".", "_") for name in HOSTILE.values()]
        for name in self.names:
            self.add_module(name, nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names:
            x = getattr(self, name)(x)
        return x


def test_names_are_text_whatever_they_hold(opened: Open, tmp_path: Path) -> None:
    page = explore(Hostile(), torch.zeros(2, 4), inits=(), title=HOSTILE["tag"]).save(tmp_path / "x.html")
    with opened(page) as tab:
        scripts = tab.page.evaluate("document.scripts.length")
        tab.page.click("#open-all")
        tab.page.fill("#search", "script")
        assert "<script>alert(1)</script>" in text(tab, "#found")
        tab.page.keyboard.press("Enter")
        assert "<script>alert(1)</script>" in text(tab)
        assert tab.page.evaluate("document.scripts.length") == scripts
        assert tab.page.title().startswith("<script>alert(1)</script>")
        with tab.page.expect_download() as saving:
            tab.page.click("#save-svg")
        saving.value.save_as(tmp_path / "x.svg")
    root = ElementTree.fromstring((tmp_path / "x.svg").read_bytes())
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "title", "rect", "path", "text"}


def test_scripts_that_are_not_the_pages_do_not_run(browser: Any, page: Path, tmp_path: Path) -> None:
    """The policy holds: what somebody puts into the file later is refused."""
    file = tmp_path / "x.html"
    file.write_text(page.read_text().replace("</body>", "<script>window.foreign = 1</script></body>"))
    tab = Tab(browser, file.as_uri(), READY, viewport=WIDE)
    assert tab.page.evaluate("window.foreign") is None
    assert any("Content Security Policy" in line or "Content-Security-Policy" in line for line in tab.said)
    tab.page.close()


class Repeats(nn.Module):
    """Runs modules in a circle."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.second = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second[0](self.first[0](x))
        return self.second[1](self.first[1](x))


def test_modules_that_feed_each_other(opened: Open, tmp_path: Path) -> None:
    page = explore(Repeats(), torch.zeros(2, 4), inits=(), depth=0).save(tmp_path / "x.html")
    with opened(page) as tab:
        assert boxes(tab) == ["input", "first", "second"]
        back = tab.page.evaluate("explorer.scene.lines.filter(({line}) => line.back !== undefined).length")
        assert back == 1
        tab.page.click("#open-all")
        assert len(boxes(tab)) == 1 + 2 + 4 + 8


def test_a_model_of_one_layer(opened: Open, tmp_path: Path) -> None:
    page = explore(nn.Linear(3, 2, bias=False), torch.zeros(1, 3), inits=()).save(tmp_path / "x.html")
    with opened(page) as tab:
        assert boxes(tab) == ["input", "weight"]
        assert tab.page.locator("#beside").is_disabled()
        tab.page.select_option("#colour", "norm")
