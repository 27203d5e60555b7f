"""`ghn deepnets`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ghn.deepnets
from ghn.cli import deepnets, parse
from ghn.deepnets import DeepNets, NetworkArguments, statistics, write_published


def run(*words: str) -> None:
    deepnets.run(parse(deepnets, "deepnets", words))


def test_it_lists_the_splits(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert "1,000,000" in capsys.readouterr().out
    run("--json")
    splits = {row["split"]: row for row in json.loads(capsys.readouterr().out)}
    assert splits["train"]["architectures"] == 1_000_000
    assert splits["deep"]["cells"] == [10, 36]
    assert splits["predefined"]["architectures"] == 2


def test_it_summarises_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("bnfree", "--count", "5", "-o", str(tmp_path / "bnfree.json"))
    shown = capsys.readouterr().out
    assert "bnfree: 5 of 100 architectures at 32 pixels" in shown
    assert "without batch norm" in shown
    assert "100.0 %" in shown
    saved = json.loads((tmp_path / "bnfree.json").read_text())
    run("bnfree", "--count", "5", "--json")
    assert json.loads(capsys.readouterr().out) == saved
    assert saved["without_norm"] == 1


def test_it_describes_and_draws_an_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("test", "3", "-o", str(tmp_path / "graph.svg"))
    assert "architecture 3 of test" in capsys.readouterr().out
    assert (tmp_path / "graph.svg").read_text().startswith(("<svg", "<?xml"))
    run("test", "3", "--json", "-o", str(tmp_path / "a.json"))
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "a.json").read_text())
    assert record["net_args"]["C"] == 32
    assert record["nodes"] > 10
    assert record["megamacs"] > 1


def test_the_suffix_says_what_is_written_whatever_its_case(tmp_path: Path) -> None:
    run("test", "3", "-o", str(tmp_path / "a.JSON"))
    assert json.loads((tmp_path / "a.JSON").read_text())["net_args"]["C"] == 32
    run("test", "3", "-o", str(tmp_path / "a.SVG"))
    assert "<svg" in (tmp_path / "a.SVG").read_text()


@pytest.mark.parametrize("words", [["train"], ["predefined"], ["predefined", "0"], ["test", "1"]])
def test_the_output_is_checked_before_the_work(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DeepNets", "Predefined", "summarise"):
        monkeypatch.setattr(ghn.deepnets, name, lambda *_, **__: pytest.fail("worked in vain"))
    monkeypatch.setattr(statistics, "summarise", ghn.deepnets.summarise)
    with pytest.raises(ValueError, match=r"the output x\.gif must end in"):
        run(*words, "-o", "x.gif")


def test_predefined_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torchvision")
    run("predefined", "-o", str(tmp_path / "both.json"))
    shown = capsys.readouterr().out
    assert "predefined: 2 networks at 32 pixels" in shown
    assert "resnet50" in shown
    assert "23.5 M" in shown
    run("predefined", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "both.json").read_text())
    assert [network["parameters"] for network in found["networks"]] == [23_520_842, 1_210_634]
    run("predefined", "1", "--json")
    assert json.loads(capsys.readouterr().out) == found["networks"][1]
    run("predefined", "0", "-o", str(tmp_path / "graph.svg"))
    assert "architecture 0 of predefined" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "graph.svg").read_text()
    run("predefined", "1")
    assert "msa(1), none(0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "unknown split 'nosuch'; there are train, val, test, .*, predefined"),
        (["nosuch", "1"], "unknown split 'nosuch'"),
        (["predefined", "2"], "predefined has architectures 0 to 1, not 2"),
        (["predefined", "-o", "x.svg"], r"the output x\.svg must end in \.json"),
        (["test", "500"], "test has architectures 0 to 499, not 500"),
        (["test", "1", "-o", "x.gif"], r"the output x\.gif must end in"),
        (["test", "--count", "0"], "--count must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(*words)


def test_networks_of_a_published_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("h5py")
    drawn = DeepNets("test")
    _, metadata = write_published(tmp_path, "mine", {"test": [drawn.arguments(index) for index in (5, 2)]})
    run("test", "1", "--metadata", str(metadata), "--json")
    record = json.loads(capsys.readouterr().out)
    assert NetworkArguments.from_dict(record["net_args"]) == drawn.arguments(2)
    run("test", "--metadata", str(metadata), "--json")
    assert json.loads(capsys.readouterr().out)["count"] == 2
    with pytest.raises(ValueError, match="holds no split 'wide', only test"):
        run("wide", "--metadata", str(metadata))


def test_options_reach_the_networks(capsys: pytest.CaptureFixture[str]) -> None:
    run("test", "3", "--seed", "2", "--image-size", "64", "--num-classes", "7", "--json")
    record = json.loads(capsys.readouterr().out)
    split = DeepNets("test", 64, 7, seed=2)
    network, graph, arguments = split[3]
    assert split.arguments(3) != DeepNets("test").arguments(3)
    assert record["net_args"] == arguments
    assert record["nodes"] == len(graph)
    assert record["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    run("test", "--count", "3", "--seed", "2", "--image-size", "64", "--num-classes", "7", "--json")
    assert json.loads(capsys.readouterr().out) == statistics.summarise(split, 3).to_dict()
