"""The page in a real browser: what a user does, with pointer and with keys alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.analysis.explorer.browser import Tab
from tests.analysis.explorer.seen import NARROW, READY, WIDE, Net, Open, boxes, click_on, colour_at, text


def test_search_finds_a_layer_and_shows_its_shape_and_norm(opened: Open, model: Net) -> None:
    with opened() as tab:
        assert text(tab).startswith("a net")
        tab.page.fill("#search", "body.3 conv2")
        assert tab.page.locator("#found li").count() == 1
        tab.page.locator("#found li").click()
        shown = text(tab)
        assert shown.startswith("body.3.conv2")
        assert "8 × 8 × 3 × 3" in shown
        norm = model.get_parameter("body.3.conv2.weight").norm().item()
        shown_norms = shown[shown.index("norm") :].split()[1:3]
        # Eight orthonormal rows.
        assert [float(number) for number in shown_norms] == pytest.approx([norm, 8**0.5], rel=1e-3)
        assert "orthogonal: set" in shown
        assert tab.page.locator("#details figure path.filled").count() == 1
        assert tab.page.locator("#details figure path.own").count() == 1
        assert "body.3.conv2" in boxes(tab), "its module was opened"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("conv 8×3×3×3", 1),
        ("BLOCK", 6),
        ("bn 8", 6),
        ("spare", 1),
        ("sum", 6),
        ("body.3.conv2.weight", 1),
        ("nothing like this", 0),
    ],
)
def test_search_by_name_primitive_and_shape(opened: Open, words: str, count: int) -> None:
    with opened() as tab:
        tab.page.fill("#search", words)
        assert tab.page.locator("#found li:not(.none)").count() == count
        assert tab.page.locator("#found li.none").count() == (count == 0)


def test_click_chooses_and_the_sign_opens_and_closes(opened: Open) -> None:
    with opened() as tab:
        tab.page.click("#fit")
        assert "body.0" in boxes(tab)
        click_on(tab, "body.0")
        assert text(tab).split()[:3] == ["body.0", "class", "Block"]
        assert "body.0.conv1" not in boxes(tab)
        click_on(tab, "body.0", 0.08, 0.3)
        assert {"body.0.conv1", "body.0.norm", "body.0.conv2"} <= set(boxes(tab))
        click_on(tab, "body.0", 0.05, 0.06)
        assert "body.0.conv1" not in boxes(tab)
        tab.page.click("#open-all")
        assert "body.5.conv2" in boxes(tab)
        assert len(boxes(tab)) == 1 + 3 + 7 + 6 * 4 + 1 + 3
        tab.page.click("#close-all")
        assert boxes(tab) == ["input", "stem", "body", "glob_avg", "head"]


def test_producers_and_consumers_lead_on(opened: Open) -> None:
    with opened() as tab:
        tab.page.fill("#search", "body.0.norm")
        tab.page.keyboard.press("Enter")
        assert "Producers (1)" in text(tab)
        tab.page.locator("#details section", has_text="Producers").get_by_role("button").click()
        assert text(tab).startswith("body.0.conv1")
        tab.page.locator("#details section", has_text="Consumers").get_by_role("button").click()
        assert text(tab).startswith("body.0.norm")


def test_lines_of_what_is_chosen_are_marked(opened: Open) -> None:
    with opened() as tab:
        tab.page.fill("#search", "body.1.conv1")
        tab.page.keyboard.press("Enter")
        marked = tab.page.evaluate(
            """explorer.scene.lines.filter(line => isMarked(line, explorer.marks)).map(({module, line}) => [
                module.full,
                line.producer?.label ?? null,
                line.consumers.slice(line.start, line.end).map(one => one.item?.label ?? null),
            ])"""
        )
    # From the block before, which is closed; in; and on within the block.
    assert sorted(map(json.dumps, marked)) == sorted(
        map(
            json.dumps,
            [
                ["body", "0", ["1"]],
                ["body.1", None, ["conv1"]],
                ["body.1", "conv1", ["norm"]],
            ],
        )
    )


@pytest.mark.parametrize(("name", "shown"), [("body.4.conv2", "body.4.conv2"), ("nothing", "a net"), ("%E0", "a net")])
def test_an_address_may_name_a_layer(browser: Any, page: Path, name: str, shown: str) -> None:
    with Tab(browser, f"{page.as_uri()}#{name}", READY, viewport=WIDE) as tab:
        assert text(tab).startswith(shown)
        assert ("body.4.conv2" in boxes(tab)) == (shown == name)


def test_colours_say_primitive_state_and_norm(opened: Open, tmp_path: Path) -> None:
    with opened() as tab:
        tab.page.click("#open-all")
        tab.page.fill("#search", "body.0.norm")
        tab.page.keyboard.press("Enter")
        assert colour_at(tab, "body.0.norm") == "#b5dfa2"
        assert "bn" in text(tab, "#legend")
        tab.page.select_option("#colour", "state")
        assert colour_at(tab, "body.0.norm") == "#e69f00", "an orthogonal start leaves norms"
        assert colour_at(tab, "body.0.conv2") == "#56b4e9"
        assert "kept" in text(tab, "#legend")
        tab.page.select_option("#colour", "norm")
        assert colour_at(tab, "body.0.norm") == colour_at(tab, "body.0.conv2"), "eight ones, and eight orthonormal rows"
        assert "norm" in text(tab, "#legend")


def test_two_starts_side_by_side(opened: Open) -> None:
    middle = "explorer.views.x + explorer.views.front.width / explorer.views.scale / 2"
    with opened() as tab:
        assert tab.page.locator("#pane-1").is_hidden()
        before, width = tab.page.evaluate(middle), tab.page.evaluate("explorer.views.front.width")
        tab.page.click("#beside")
        assert tab.page.locator("#pane-1").is_visible()
        assert tab.page.evaluate("explorer.views.front.width") < 0.6 * width
        assert tab.page.evaluate(middle) == pytest.approx(before)
        names = [tab.page.evaluate(f"get('start-{pane}').selectedOptions[0].text") for pane in (0, 1)]
        assert names == ["orthogonal", "own initialisation"]
        tab.page.fill("#search", "body.0.conv2")
        tab.page.keyboard.press("Enter")
        assert colour_at(tab, "body.0.conv2", 0) != colour_at(tab, "body.0.conv2", 1), "norms differ"
        tab.page.select_option("#start-1", "1")
        assert colour_at(tab, "body.0.conv2", 0) == colour_at(tab, "body.0.conv2", 1)


def test_the_pointer_pans_and_the_wheel_zooms_about_it(opened: Open) -> None:
    with opened() as tab:
        under = (
            "([px, py]) => [explorer.views.x + px / explorer.views.scale, explorer.views.y + py / explorer.views.scale]"
        )
        place = tab.page.locator("#canvas-0").bounding_box()
        x, y = 300, 250
        before = tab.page.evaluate(under, [x, y])
        tab.page.mouse.move(place["x"] + x, place["y"] + y)
        tab.page.mouse.wheel(0, -100)
        tab.page.wait_for_timeout(60)
        after = tab.page.evaluate(under, [x, y])
        assert after == pytest.approx(before)
        tab.page.mouse.down()
        tab.page.mouse.move(place["x"] + x + 50, place["y"] + y + 30)
        tab.page.mouse.up()
        assert tab.page.evaluate(under, [x + 50, y + 30]) == pytest.approx(before)


def test_keys_alone(opened: Open) -> None:
    with opened() as tab:
        press = tab.page.keyboard.press
        press("/")
        tab.page.keyboard.type("body.2")
        press("ArrowDown")
        press("ArrowUp")
        press("Enter")
        assert text(tab).startswith("body.2\n")
        press("Enter")
        assert "body.2.norm" in boxes(tab)
        press("ArrowDown")
        assert text(tab).startswith("body.2.conv1")
        assert "body.2.conv1" in text(tab, "#status")
        press("u")
        assert text(tab).startswith("body.2\n")
        press("Enter")
        assert "body.2.norm" not in boxes(tab)
        press("Home")
        assert "input" in text(tab).splitlines()[0]
        press("End")
        assert text(tab).startswith("head")
        scale = tab.page.evaluate("explorer.views.scale")
        press("+")
        assert tab.page.evaluate("explorer.views.scale") > scale
        press("e")
        assert "body.5.norm" in boxes(tab)
        press("c")
        assert "body.0" not in boxes(tab)
        press("Escape")
        assert text(tab).startswith("a net")
        press("?")
        assert tab.page.locator("#keys").is_visible()
        press("Escape")
        assert tab.page.locator("#keys").is_hidden()
        # Every control can be reached, and the way does not end anywhere.
        reached = set()
        for _ in range(40):
            press("Tab")
            reached.add(tab.page.evaluate("document.activeElement.id"))
        assert {"search", "colour", "beside", "fit", "save-svg", "theme", "help", "canvas-0", "details"} <= reached


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [
        (WIDE, "light"),
        (NARROW, "dark"),
        pytest.param(WIDE, "dark", marks=pytest.mark.slow),
        pytest.param(NARROW, "light", marks=pytest.mark.slow),
    ],
)
def test_no_barriers(opened: Open, viewport: dict[str, int], scheme: str) -> None:
    with opened(viewport=viewport, color_scheme=scheme) as tab:
        assert tab.violations() == []
        if viewport is NARROW:
            tab.page.click("#more")
        tab.page.click("#beside")
        tab.page.fill("#search", "norm")
        assert tab.violations() == []
        tab.page.keyboard.press("Enter")
        assert tab.violations() == []


def test_a_barrier_would_be_found(opened: Open) -> None:
    with opened() as tab:
        tab.page.evaluate("document.getElementById('search').labels[0].remove()")
        tab.page.evaluate("document.getElementById('search').removeAttribute('placeholder')")
        assert any(line.startswith("label") for line in tab.violations())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes(opened: Open, scheme: str) -> None:
    with opened(color_scheme=scheme) as tab:
        background = "getComputedStyle(document.body).backgroundColor"
        corner = "[...explorer.views.front.context.getImageData(2, 200, 1, 1).data].slice(0, 3)"
        before = tab.page.evaluate(background), tab.page.evaluate(corner)
        assert (sum(before[1]) < 300) == (scheme == "dark")
        tab.page.click("#theme")
        tab.page.wait_for_timeout(60)
        after = tab.page.evaluate(background), tab.page.evaluate(corner)
        assert before[0] != after[0]
        assert (sum(after[1]) < 300) == (scheme == "light")


@pytest.mark.parametrize("width", [360, 768, 2560])
def test_nothing_is_cut_off(opened: Open, width: int) -> None:
    with opened(viewport={"width": width, "height": 640}) as tab:
        if tab.page.locator("#more").is_visible():
            tab.page.click("#more")
        wide = tab.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        for control in ("#search", "#save-png", "#canvas-0", "#details"):
            box = tab.page.locator(control).bounding_box()
            assert box is not None, control
            assert box["x"] >= 0, control
            assert box["x"] + box["width"] <= width, control
            assert box["width"] > 40, control
            assert box["height"] > 20, control


def test_pictures_are_saved(opened: Open, tmp_path: Path) -> None:
    with opened() as tab:
        tab.page.click("#open-all")
        with tab.page.expect_download() as saving:
            tab.page.click("#save-svg")
        assert saving.value.suggested_filename == "a-net.svg"
        saving.value.save_as(tmp_path / "x.svg")
        root = ElementTree.fromstring((tmp_path / "x.svg").read_bytes())
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert texts.count("sum") == 6 + 1, "six nodes, and the legend"
        assert any(text and text.startswith("a net: ") for text in texts)
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        for box in root.iter("{http://www.w3.org/2000/svg}rect"):
            x, y, w, h = (float(box.get(name, "nan")) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
        with tab.page.expect_download() as saving:
            tab.page.click("#save-png")
        saving.value.save_as(tmp_path / "x.png")
        content = (tmp_path / "x.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        assert int.from_bytes(content[16:20], "big") == pytest.approx(2 * width, abs=3)
