"""How a report reads."""

import dataclasses

from ghn.graph.reasons import Reason
from ghn.initialization import InitReport


def test_printed_report() -> None:
    report = InitReport(
        predicted=("a", "b"),
        kept={"scale": Reason.read("layer scale"), "token": Reason.read("class token")},
        fraction=0.98765,
        traced_by="meta",
        seconds={"tracing": 0.25, "encoding": 0.001, "decoding": 0.002, "writing": 0.1},
        total_norm=12.3456,
    )
    assert str(report).splitlines() == [
        "predicted   2 of 4 parameters, 98.77 % of all elements",
        "seconds     0.353 (tracing 250 ms, encoding 1 ms, decoding 2 ms, writing 100 ms)",
        "kept",
        "  scale  layer scale",
        "  token  class token",
    ]
    reasons = Reason.read("one"), Reason.read("other")
    many = dataclasses.replace(report, kept={str(index): reasons[index < 5] for index in range(20)})
    assert str(many).splitlines()[2:] == ["kept", "     15 parameters  one", "      5 parameters  other"]
    assert str(dataclasses.replace(report, kept={})).count("\n") == 1
