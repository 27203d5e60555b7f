"""README's picture: which parameters of an architecture of one's own are predicted, and what training from there gives.

python -m benchmarks.own_architecture --folder runs/own
python -m benchmarks.own_architecture --draw   # the pictures again, from the last result

The architecture is from `examples/own_architecture.py`, each start is trained over several seeds as in `ghn compare`.
With a folder, what was measured stays, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import ghn
from benchmarks.common import RESULTS, markdown, save
from examples.own_architecture import make
from ghn.common.files import write_text
from ghn.comparison import CompareConfig, Comparison, compare
from ghn.comparison.cell import CellResult
from ghn.comparison.figure import draw
from ghn.draw import to_svg
from ghn.finetuning import FinetuneConfig

NAME = "own_architecture"
HYPERNETWORK = "ghn3-t-cifar10-wide"
STARTS = ("default", "default+calibrate", f"ghn:{HYPERNETWORK}+calibrate")
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
GAP, EDGE = 24.0, 16.0
"""Pixels between the halves of the picture, and around them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[0.1, 0.02])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--starts", nargs="+", default=list(STARTS))
    parser.add_argument("--test-images", type=int, default=512)
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--folder", type=Path, default=None, help="where trainings are kept")
    parser.add_argument("--draw", action="store_true", help="only draw the last result")
    arguments = parser.parse_args()
    if not arguments.draw:
        measure(arguments)
    draw_all()


def measure(arguments: argparse.Namespace) -> None:
    """Train from every start, and write the result's dated files."""
    training = FinetuneConfig(
        data="cifar10",
        data_root=arguments.data_root,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rates=tuple(arguments.learning_rates),
        hold_out=1000,
        validate_every=max(1, arguments.steps // 8),
        test_images=arguments.test_images,
        log_every=10,
    )
    config = CompareConfig(
        model="examples.own_architecture:make", inits=tuple(arguments.starts), seeds=arguments.seeds, training=training
    )
    found = compare(config, arguments.folder, progress=lambda cell, done, all_: print(done, all_, cell, flush=True))
    rows = []
    for row in found.rows():
        line: dict[str, Any] = {"start": row.init}
        for step, mean, std in zip(row.steps, row.mean, row.std, strict=True):
            line[str(step)] = f"{100 * mean:.1f} ± {100 * std:.1f}"
        difference = row.against
        line["difference"] = f"{100 * difference.mean:+.1f} ± {100 * difference.half:.1f}" if difference else ""
        line["rates"] = ", ".join(f"{rate:g}" for rate in row.learning_rates)
        rows.append(line | {"seconds": f"{row.cost:.1f}"})
    shown = config.to_dict()
    shown["training"]["data_root"] = None
    cells = [asdict(cell) for cell in found.cells]
    save(NAME, cells, table=markdown(rows, dict.fromkeys(rows[0], "")), extra={"config": shown})


def draw_all() -> None:
    """The graph, the curves, and both beside each other, in `docs/pictures`."""
    graph = graph_picture()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "curves.svg"
        draw(last_result(), file)
        curves = without_date(file.read_text(encoding="utf-8"))
    PICTURES.mkdir(exist_ok=True)
    write_text(PICTURES / "graph.svg", graph)
    write_text(PICTURES / "curves.svg", curves)
    write_text(PICTURES / "overview.svg", beside(graph, curves))


def graph_picture() -> str:
    """The model's graph, coloured where parameters are predicted."""
    torch.manual_seed(0)
    model = make()
    images = torch.zeros(2, 3, 32, 32)
    report = ghn.initialize(model, HYPERNETWORK, images)
    return to_svg(ghn.trace(model, images), predicted=report.predicted)


def last_result() -> Comparison:
    """What the newest result file holds."""
    files = sorted(RESULTS.glob(f"*_{NAME}.json"))
    if not files:
        raise SystemExit(f"there is no result yet: python -m benchmarks.{NAME}")
    record = json.loads(files[-1].read_text(encoding="utf-8"))
    cells = []
    for row in record["rows"]:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        cells.append(CellResult(**fields))
    return Comparison(config=CompareConfig.from_dict(record["config"]), cells=tuple(cells))


def without_date(svg: str) -> str:
    """A picture by matplotlib that only changes with what it shows."""
    return re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)


def beside(left: str, right: str) -> str:
    """Two pictures of one height beside each other, on white."""
    sizes = [size_of(svg) for svg in (left, right)]
    height = max(size[1] for size in sizes)
    widths = [width * height / tall for width, tall in sizes]
    width = sum(widths) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="0 0 {width + 2 * EDGE:.0f} {height + 2 * EDGE:.0f}">',
        "<title>Left: the graph of a model, coloured where parameters are predicted. "
        "Right: its accuracy in training, from a random and from a predicted start.</title>",
        f'<rect width="{width + 2 * EDGE:.0f}" height="{height + 2 * EDGE:.0f}" rx="8" fill="#ffffff"/>',
    ]
    x = EDGE
    for svg, part in zip((left, right), widths, strict=True):
        tag, _, inside = body_of(svg).partition(">")
        parts.append(placed(tag, x, part, height) + inside)
        x += part + GAP
    return "\n".join([*parts, "</svg>"]) + "\n"


def body_of(svg: str) -> str:
    return svg[svg.index("<svg") :].strip()


def size_of(svg: str) -> tuple[float, float]:
    match = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert match is not None
    return float(match[1]), float(match[2])


def placed(tag: str, x: float, width: float, height: float) -> str:
    """An `svg` tag, but for its `>`, at a place and of a size."""
    tag = re.sub(r' (?:width|height|x|y)="[^"]*"', "", tag)
    return f'{tag} x="{x:.1f}" y="{EDGE:g}" width="{width:.1f}" height="{height:.1f}">'


if __name__ == "__main__":
    main()
