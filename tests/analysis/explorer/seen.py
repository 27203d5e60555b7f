"""A model to look at in the browser, and what tests see of its page."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.analysis.explorer.browser import Tab

READY = "window.explorer !== undefined && window.explorer.views.frames > 0"
WIDE, NARROW = {"width": 1400, "height": 860}, {"width": 360, "height": 640}
Open = Callable[..., Tab]


class Block(nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.norm(self.conv1(x)))


class Net(nn.Module):
    """Blocks between a stem and a head; a parameter that nothing uses."""

    def __init__(self, blocks: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.body = nn.Sequential(*(Block() for _ in range(blocks)))
        self.head = nn.Linear(8, 3)
        self.spare = nn.Parameter(torch.zeros(2, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.stem(x)).mean((2, 3)))


def text(tab: Tab, element: str = "#details") -> str:
    return tab.page.inner_text(element)


def boxes(tab: Tab) -> list[str]:
    """What is drawn, by its full name."""
    return tab.page.evaluate("explorer.scene.boxes.map(box => box.item.full || box.item.op)")


def click_on(tab: Tab, name: str, dx: float = 0.5, dy: float = 0.5) -> None:
    """Click on a box that is in sight, at a share of its width and height."""
    x, y = tab.page.evaluate(
        """([name, dx, dy]) => {
            const box = explorer.scene.boxes.find(({item}) => (item.full || item.op) === name);
            const {x, y, scale} = explorer.views, place = document.getElementById("canvas-0").getBoundingClientRect();
            return [place.left + (box.x + dx * box.w - x) * scale, place.top + (box.y + dy * box.h - y) * scale];
        }""",
        [name, dx, dy],
    )
    tab.page.mouse.click(x, y)


def colour_at(tab: Tab, name: str, canvas: int = 0) -> str:
    """Of the pixel near a box's lower left corner."""
    return tab.page.evaluate(
        """([name, canvas]) => {
            explorer.views.drawNow();
            const box = explorer.scene.boxes.find(({item}) => item.full === name), view = explorer.views.views[canvas];
            const at = (value, from) => Math.round((value - from) * explorer.views.scale * view.ratio);
            const [x, y] = [at(box.x + 4, explorer.views.x), at(box.y + box.h - 4, explorer.views.y)];
            const pixel = view.context.getImageData(x, y, 1, 1);
            return "#" + [...pixel.data].slice(0, 3).map(part => part.toString(16).padStart(2, "0")).join("");
        }""",
        [name, canvas],
    )
