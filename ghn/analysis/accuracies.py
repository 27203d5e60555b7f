"""Accuracies of networks after training: read from files, or measured after some steps of SGD."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ghn.analysis.networks import Batch, Networks
from ghn.analysis.records import Record, records
from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json
from ghn.common.untrusted.opening import read_bytes
from ghn.finetuning import finetune

MOST_OF_A_FILE = 256 << 20
"""Bytes."""

Table = dict[str, dict[str, float | None]]
"""Numbers of networks by name."""


def trained_accuracies(
    networks: Networks,
    steps: int,
    *,
    learning_rates: tuple[float, ...] | None = None,
    test_images: int | None = None,
    folder: str | Path | None = None,
    progress: Callable[[Record], None] | None = None,
) -> dict[str, float]:
    """Accuracies of the networks after some steps of SGD from their first start, on the data of the configuration.

    Args:
        networks: These.
        steps: Of each training.
        learning_rates: That are tried; None for those of `ghn.finetune`.
        test_images: Most that an accuracy is measured on; None for all.
        folder: See `ghn.analysis.records.records`.
        progress: Likewise; the record of a training that failed has its reason.
    """
    config = networks.config

    def measure(model: nn.Module, batch: Batch) -> Mapping[str, Any]:
        result = finetune(
            model.train(),
            data=config.data,
            steps=steps,
            seed=config.seed,
            data_root=config.data_root,
            image_size=networks.image_size,
            noise=0.0,
            learning_rates=learning_rates,
            test_images=test_images,
        )
        return {"accuracy": result.accuracy, "learning_rate": result.learning_rate}

    settings = {"steps": steps, "learning_rates": learning_rates, "test_images": test_images}
    found = records(networks, "sgd", measure, settings=settings, folder=folder, progress=progress)
    first = config.starts[0]
    return {
        record.model: record.values["accuracy"]
        for record in found
        if record.start == first and record.error is None and record.values["accuracy"] is not None
    }


def read_accuracies(text: str) -> dict[str, float]:
    """Accuracies by network, from a file.

    Args:
        text: A .csv file whose first column names networks, or a .json file: {network: number}, {network: {name:
            number}}, that under `models` or `accuracies`, or what `ghn evaluate -o` wrote. `FILE:COLUMN` says which
            number where there are several. Networks without a finite number are left out.

    Raises:
        ValueError: In one line: what is wrong with the file.
    """
    path, column = Path(text), None
    if not path.is_file() and ":" in text:
        name, _, column = text.rpartition(":")
        path = Path(name)
    if not path.is_file():
        raise ValueError(f"{path} is no file; give accuracies as .csv or .json")
    try:
        content = read_bytes(path, MOST_OF_A_FILE).decode("utf-8-sig")
        table = _csv(content) if path.suffix.lower() == ".csv" else _json(parse_json(content))
    except (FormatError, UnicodeDecodeError, csv.Error, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"{path} holds no accuracies: {shown(str(error), 200)}") from error
    numbers = ((name, _number(row, column, path)) for name, row in table.items())
    found = {name: value for name, value in numbers if value is not None and math.isfinite(value)}
    if not found:
        raise ValueError(f"{path} holds no accuracies")
    return found


def _csv(content: str) -> Table:
    first, *rows = [row for row in csv.reader(io.StringIO(content)) if row]
    table: Table = {}
    for row in rows:
        cells = {name.strip(): _float(cell) for name, cell in zip(first[1:], row[1:], strict=False)}
        table[row[0].strip()] = {name: value for name, value in cells.items() if value is not None}
    return table


def _float(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _json(value: Any) -> Table:
    for key in ("models", "accuracies"):
        if isinstance(value.get(key), dict):
            value = value[key]
    if isinstance(value.get("networks"), list):
        table: Table = {}
        for one in value["networks"]:
            name = f"{one['split']}/{one['index']}" if one["kind"] == "split" else one["split"]
            table.setdefault(name, {})[one["start"]] = one["top1"]
        return table
    return {
        name: {
            key: number
            for key, number in (row if isinstance(row, dict) else {"accuracy": row}).items()
            if isinstance(number, int | float) and not isinstance(number, bool)
        }
        for name, row in value.items()
        if isinstance(row, dict | int | float)
    }


def _number(row: Mapping[str, float | None], column: str | None, path: Path) -> float | None:
    if column is not None:
        if column not in row:
            if not row:
                return None
            raise ValueError(f"{path} has no column {column!r}; there are {', '.join(row)}")
        return row[column]
    if len(row) > 1 and "accuracy" not in row:
        raise ValueError(f"{path} has several numbers a network: say which, {path}:{next(iter(row))}")
    return row.get("accuracy", next(iter(row.values()), None))
