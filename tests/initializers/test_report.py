"""Reports as people read them."""

from ghn.initializers import StartReport


def test_a_report_counts_and_names() -> None:
    kept = {"a.bias": "a bias", "b.bias": "a bias", "c\x1b[2J": "odd"}
    report = StartReport(name="orthogonal", changed=("a", "b"), kept=kept, seconds=1.25, notes=("one\nnote",))
    text = str(report)
    assert text.splitlines()[0] == "orthogonal: 2 tensors set, 1.25 s"
    assert "  kept 2 (a bias): a.bias, b.bias" in text
    assert "\x1b" not in text
    many = StartReport(name="x", changed=(), kept={f"p{i}": "r" for i in range(30)})
    assert "kept 30 (r): p0" in str(many)
    assert str(many).endswith("p11, …")


def test_many_notes_are_counted() -> None:
    lines = str(StartReport(name="x", changed=(), notes=tuple(f"n{i}" for i in range(30)))).splitlines()
    assert lines[-2:] == ["  n23", "  and 6 more notes"]
    assert len(lines) == 26
