"""Filters of first layers as mosaics: networks down, starts across (figure 2 of GHN-3)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ghn.analysis.records import Record
from ghn.draw.plots import checked_format, literal, new_figure, short, write_figure

MOST_ROWS = 12
"""Networks in a picture."""


def draw_filters(records: Sequence[Record], file: str | os.PathLike[str]) -> None:
    """Draw filters, each from its least element (black) to its largest (white) as red, green and blue.

    Args:
        records: What `filter_records` gave; those that failed are left out.
        file: To write, .svg, .png or .pdf.

    Raises:
        ValueError: For another ending, without matplotlib, for more networks than a picture has room for, or if all
            failed.
    """
    checked_format(file)
    sound = [record for record in records if record.error is None]
    if not sound:
        raise ValueError("there are no filters to draw: every network failed")
    models = list(dict.fromkeys(record.model for record in sound))
    starts = list(dict.fromkeys(record.start for record in sound))
    if len(models) > MOST_ROWS:
        raise ValueError(f"a picture of filters has room for {MOST_ROWS} networks, not {len(models)}; name fewer")
    figure = new_figure(max(4.5, 2.6 * len(starts)), 0.7 + 3.0 * len(models))
    panels = figure.subplots(len(models), len(starts), squeeze=False)
    for panel in panels.ravel():
        panel.set_axis_off()
    for record in sound:
        panel = panels[models.index(record.model), starts.index(record.start)]
        panel.imshow(mosaic(record.tensors["filters"]), interpolation="nearest")
        values = record.values
        start = "\n+".join(short(record.start).split("+"))
        panel.set_title(
            f"{literal(record.model)}, {start}\n{values['distinct']} of {values['filters']} filters differ", fontsize=8
        )
    figure.suptitle(
        "filters of the first layer, each from black (its least element) to white", fontsize=9, x=0.01, ha="left"
    )
    write_figure(figure, file)


def mosaic(filters: Tensor) -> NDArray[np.float64]:
    """Filters (O, 3, h, w) side by side in as square a picture as can be: (rows, columns, 3), 0..1.

    A white line is between them. Of filters with other than three channels, the mean is shown in grey.
    """
    values = filters.double().numpy()
    if values.shape[1] != 3:
        values = np.repeat(values.mean(1, keepdims=True), 3, axis=1)
    least, most = (getattr(values, part)((1, 2, 3), keepdims=True) for part in ("min", "max"))
    values = (values - least) / np.where(most > least, most - least, 1.0)
    count, _, height, width = values.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    picture = np.ones((down * (height + 1) - 1, across * (width + 1) - 1, 3))
    for number, one in enumerate(values):
        y, x = number // across * (height + 1), number % across * (width + 1)
        picture[y : y + height, x : x + width] = one.transpose(1, 2, 0)
    return picture
