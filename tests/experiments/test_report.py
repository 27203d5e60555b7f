"""Tables beside the paper's numbers, as Markdown and JSON."""

from __future__ import annotations

import json
from statistics import fmean, pstdev

from ghn.experiments.published import Number
from ghn.experiments.report import Entry, Report, Row


def report() -> Report:
    rows = [
        Row(name="a|b", entries=[Entry.of([1.0, None, 4.0]), Entry.plain(1234.5)], published=[Number(23.9, 1.0), None]),
        Row(name="none", entries=[None, Entry.of([2.0])], published=[Number(3), None]),
    ]
    return Report(
        name="table0", title="nothing", scale="small", data="digits", columns=["x", "y"], rows=rows, notes=["a note"],
        failed=["cell: because"],
    )  # fmt: skip


def test_means_are_over_what_there_is() -> None:
    values = [1.0, 2.5, 4.0]
    entry = Entry.of([*values, None])
    assert entry == Entry(mean=fmean(values), std=pstdev(values), count=3)
    assert Entry.of([2.0]) == Entry(mean=2.0, std=None, count=1)
    assert Entry.of([None]) is None
    assert Entry.plain(None) is None


def test_markdown_has_both_numbers() -> None:
    lines = report().markdown().splitlines()
    assert lines[0] == "# table0: nothing"
    assert lines[2:6] == [
        "| | x | y |",
        "|---|---:|---:|",
        "| a\\|b | 2.5 ± 1.5 [23.9 ± 1] | 1,234.5 |",
        "| none | – [3] | 2.0 |",
    ]
    assert "- a note" in lines
    assert "- failed: cell: because" in lines


def test_json_is_plain() -> None:
    found = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    assert found["rows"][0]["ours"] == [
        {"mean": 2.5, "std": 1.5, "count": 2},
        {"mean": 1234.5, "std": None, "count": 1},
    ]
    assert found["rows"][0]["published"] == [{"mean": 23.9, "std": 1.0}, None]
    assert found["failed"] == ["cell: because"]
