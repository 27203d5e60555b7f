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
