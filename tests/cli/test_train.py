"""`ghn train` and `ghn evaluate`, from the command line to a hypernetwork that other commands load."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

import ghn
from ghn.cli import evaluate, main, parse, train
from ghn.deepnets import Space
from ghn.hypernet.config import GHNConfig
from ghn.meta import MetaTrainingConfig
from ghn.training.ranks import RankLostError

SMALL = ("--hidden", "8", "--layers", "1", "--device", "cpu")


def options(*words: str) -> train.Options:
    return parse(train, "train", words)


def test_without_a_name_it_lists_the_runs(capsys: pytest.CaptureFixture[str]) -> None:
    train.run(options())
    shown = capsys.readouterr().out
    assert "digits-smoke" in shown
    assert "start one: ghn train NAME --output FOLDER" in shown


def test_a_run_ends_with_a_hypernetwork_that_can_be_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("digits-smoke", "-o", str(tmp_path / "run"), "--steps", "1", "--seed", "3", *SMALL)
    train.run(options(*words))
    assert "trained 1 steps" in capsys.readouterr().out
    hypernet = ghn.from_pretrained(str(tmp_path / "run" / "hypernet"))
    assert (hypernet.config.hidden, hypernet.config.layers) == (8, 1)
    card = (tmp_path / "run" / "hypernet" / "README.md").read_text()
    assert "ghn train digits-smoke --steps 1 --seed 3 --layers 1 --hidden 8 --device cpu" in card
    assert "at most 5 cells" in card
    assert str(tmp_path) not in card

    counts = ["--test", "1", "--wide", "0", "--deep", "0", "--dense", "0", "--bnfree", "1", "--no-predefined"]
    asked = [str(tmp_path / "run" / "hypernet"), "--data", "digits", "--images", "64", *counts]
    evaluate.run(parse(evaluate, "evaluate", [*asked, "-o", str(tmp_path / "result.json")]))
    shown = capsys.readouterr().out
    assert "bnfree" in shown
    result = json.loads((tmp_path / "result.json").read_text())
    assert [row["split"] for row in result["summary"]] == ["test", "bnfree"]
    assert all(0 <= network["top1"] <= 1 and network["images"] == 64 for network in result["networks"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch", "-o", "x"], "unknown run 'nosuch': there are ghn3-t-m8"),
        (["digits-smoke"], "no folder given for the run: add --output FOLDER"),
        (["digitsmoke"], "unknown run 'digitsmoke': did you mean digits-smoke?"),
        (["digits-smoke", "-o", "x", "--learning-rate", "-1"], r"learning_rate must be positive, not -1\.0"),
        (["digits-smoke", "-o", "x", "--hidden", "7"], "hidden must be a positive multiple of 4"),
        (["digits-smoke", "-o", "x", "--virtual-edges", "False"], "--virtual-edges is a switch of the gated_gnn enc"),
        (["ghn2-cifar10", "-o", "x", "--centrality", "False"], "--centrality is a switch of the graphormer encoder"),
        (["digits-smoke", "-o", "x", "--data", "nosuch"], "unknown data set 'nosuch'; there are cifar10"),
        (["digits-smoke", "-o", "x", "--penalty", "nan"], "penalty must be a finite number, not nan"),
        (["digits-smoke", "-o", __file__], r"test_train\.py is no folder, and cannot keep what is done"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train.run(options(*words))


def test_what_follows_from_the_options() -> None:
    def of(*words: str) -> MetaTrainingConfig:
        return train.configured(options(*words))[0]

    assert of("digits-smoke", "--hidden", "128").hypernet.max_channels == 128
    assert of("digits-smoke", "--hidden", "128", "--max-channels", "32").hypernet.max_channels == 32
    assert of("ghn2-cifar10", "--hidden", "16").hypernet.max_channels == 64
    assert of("digits-smoke", "--minutes", "5").steps == train.ENDLESS
    assert of("digits-smoke", "--minutes", "5", "--steps", "7").steps == 7
    assert of("ghn3-t-cifar10-cpu").minutes is not None
    assert of("ghn3-t-cifar10-cpu", "--steps", "1500").minutes is None
    small = of("ghn3-t-m8", "--data", "digits")
    assert (small.hypernet.num_classes, small.image_size) == (10, 32)


def test_the_number_of_classes_is_that_of_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("torchvision")
    for index, name in enumerate(("cat", "dog", "fox")):
        (tmp_path / "data" / "train" / name).mkdir(parents=True)
        for number in range(4):
            image.new("RGB", (40, 40), (80 * index, 10 * number, 0)).save(
                tmp_path / "data" / "train" / name / f"{number}.png"
            )
    data = ["--data", "folder", "--data-root", str(tmp_path / "data"), "--validate-every", "0", "--few-shot", "9"]
    words = ["digits-smoke", "-o", str(tmp_path / "run"), "--steps", "1", "--images", "4", *data, *SMALL]
    train.run(options(*words))
    assert ghn.from_pretrained(str(tmp_path / "run" / "hypernet")).config.num_classes == 3
    assert "9 kept of the others" in (tmp_path / "run" / "hypernet" / "README.md").read_text()


def test_a_run_that_cannot_go_on_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise RankLostError("a process of the run has gone; give the command again")

    monkeypatch.setattr("ghn.meta.run.train", lost)
    assert main(["train", "digits-smoke", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: a process of the run has gone; give the command again\n"


def test_every_option_of_a_config_is_one_of_its_fields() -> None:
    known = {field.name for kind in (MetaTrainingConfig, GHNConfig, Space) for field in fields(kind)}
    options = {field.name for field in fields(train.Options)}
    assert options - known == {"run", "output", "device", "quiet", "json"}
    # And the other way round: every setting of a named run can be given.
    assert known - options == {"hypernet", "space", "encoder", "heads"}


def test_all_that_a_run_is_made_of_can_be_given() -> None:
    words = "--optimizer sgd --momentum 0.5 --betas 0.8 0.9 --warmup 0.2 --schedule steps --clip 0.5 --average 0.9"
    words += " --channels 32 48 --max-nodes 99 --attention 0.5 --shared-images False --augment False --weight-decay 0"
    config = train.configured(options("digits-smoke", *words.split()))[0]
    assert (config.optimizer, config.momentum, config.betas, config.schedule) == ("sgd", 0.5, (0.8, 0.9), "steps")
    assert (config.warmup, config.clip, config.average, config.weight_decay) == (0.2, 0.5, 0.9, 0.0)
    assert (config.space.channels, config.space.max_nodes, config.space.attention) == ((32, 48), 99, 0.5)
    # What was not given is that of the named run.
    assert config.space.max_megamacs == 20.0
    assert (config.shared_images, config.augment) == (False, False)
    assert train.configured(options("digits-smoke", "--clip", "inf"))[0].clip is None


def test_a_run_from_other_weights_takes_their_architecture(tmp_path: Path) -> None:
    hypernet = ghn.GHN(GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3))
    hypernet.save_pretrained(tmp_path / "other")
    config = train.configured(options("digits-smoke", "--start-from", str(tmp_path / "other")))[0]
    assert (config.hypernet, config.start_from) == (hypernet.config, str(tmp_path / "other"))
    with pytest.raises(ValueError, match="nowhere: there is no such file or folder"):
        train.configured(options("digits-smoke", "--start-from", str(tmp_path / "nowhere")))
