"""How fast a page of `ghn explore` opens in a browser, and how smoothly it pans.

    python -m benchmarks.explorer
    python -m benchmarks.explorer --only efficientnet_v2_l --no-save

A page opens from disk in Chromium without a window. `opened_s` runs from the start of the navigation to the first frame
that is drawn, the least of three openings. `frame_ms` is the time between two frames while the view pans over the whole
drawing, all modules open, at a scale at which texts can be read, and `whole_ms` while all of it is in sight: the median
and the 95th percentile over 60 frames. `expand_ms` is the time that laying out and drawing all modules takes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import floor, markdown, save
from ghn.analysis import explore

READY = "window.explorer !== undefined && window.explorer.views.frames > 0"

PAN = """whole => new Promise(done => {
    const {views, scene} = explorer, times = [];
    views.fit(true);
    if (!whole) views.scale = 0.7;
    let last = null, count = 0;
    const step = now => {
        if (last !== null) times.push(now - last);
        last = now;
        if ((count += 1) > 60) return done(times.sort((one, other) => one - other));
        views.x = scene.width / 2 - 400 / views.scale + count;
        if (!whole) views.y = scene.height * count / 61;
        views.drawNow();
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""

EXPAND = """() => {
    const began = performance.now();
    document.getElementById("open-all").click();
    explorer.views.drawNow();
    return performance.now() - began;
}"""

COLUMNS = {
    "model": "",
    "nodes": ",d",
    "megabytes": ".2f",
    "opened_s": ".2f",
    "expand_ms": ".0f",
    "frame_ms": ".1f",
    "frame_ms_95": ".1f",
    "whole_ms": ".1f",
    "whole_ms_95": ".1f",
}


class Block(nn.Module):
    """A residual block: three convolutions with their norms, and the sum."""

    def __init__(self) -> None:
        super().__init__()
        layers = [layer for _ in range(3) for layer in (nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def nested() -> nn.Module:
    """5,000 nodes in 24 stages of blocks."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), *(nn.Sequential(*(Block() for _ in range(30))) for _ in range(24)))


def flat() -> nn.Module:
    """5,000 nodes in one module."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), *(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(4998))
    )


def torchvision_model(name: str) -> Callable[[], nn.Module]:
    """A maker of one of torchvision's models."""

    def make() -> nn.Module:
        from torchvision.models import get_model

        return get_model(name, weights=None)

    return make


MODELS: dict[str, Callable[[], nn.Module]] = {
    "efficientnet_v2_l": torchvision_model("efficientnet_v2_l"),
    "nested": nested,
    "flat": flat,
}


def measured(name: str, browser: Any, folder: Path) -> dict[str, Any]:
    """A row of the table."""
    torch.manual_seed(0)
    inits = ("ghn",) if name == "efficientnet_v2_l" else ("orthogonal",)
    page = explore(MODELS[name](), inits=inits, title=name)
    file = page.save(folder / f"{name}.html")
    opened = []
    for _ in range(3):
        tab = browser.new_page(viewport={"width": 1400, "height": 860})
        tab.goto(file.as_uri())
        while not tab.evaluate(READY):
            tab.wait_for_timeout(10)
        opened.append(tab.evaluate("explorer.views.firstFrame") / 1000)
        if len(opened) < 3:
            tab.close()
    expand = tab.evaluate(EXPAND)
    frames, whole = tab.evaluate(PAN, False), tab.evaluate(PAN, True)
    tab.close()
    return {
        "model": name,
        "nodes": len(page.document["nodes"]),
        "megabytes": file.stat().st_size / 1e6,
        "opened_s": min(opened),
        "expand_ms": expand,
        "frame_ms": frames[len(frames) // 2],
        "frame_ms_95": frames[int(0.95 * len(frames))],
        "whole_ms": whole[len(whole) // 2],
        "whole_ms_95": whole[int(0.95 * len(whole))],
    }


def main() -> None:
    """Measure, print a table, and save it."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    hardware = floor()
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        version = browser.version
        rows = [measured(name, browser, Path(folder)) for name in options.only]
        browser.close()
    table = markdown(rows, COLUMNS)
    print(table)
    if not options.no_save:
        print(save("explorer", rows, table=table, extra={"floor": hardware, "chromium": version}))


if __name__ == "__main__":
    main()
