"""Evaluations: what is in one, that it repeats, goes on after it was ended, and is shared by processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ghn.data import DataError, ImageSet, ImageStream, load
from ghn.data.sample import sample_batches
from ghn.deepnets import DeepNets, write_published
from ghn.evaluate import EvaluationConfig, NetworkResult, Scores, evaluate, run
from ghn.evaluate.accuracy import score, use_batch_statistics
from ghn.evaluate.journal import LINES_FILE, read_finished
from ghn.initializers import create
from ghn.model import GHN
from ghn.training.ranks import Ranks
from ghn.training.state import StateError, locked
from ghn.zoo import ModelRequest, build_model
from tests.evaluate.test_config import CONFIG
from tests.evaluate.test_networks import MODULE
from tests.evaluate.test_starts import HYPERNET
from tests.warm import COMMAND, Program


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    pytest.importorskip("sklearn")
    return load("digits", split="test").subset(range(16))


def same(results: Any) -> list[NetworkResult]:
    """Without the times."""
    return [replace(result, seconds=0.0, scoring_seconds=0.0) for result in results]


def test_every_network_is_there_and_results_repeat(digits: ImageSet) -> None:
    seen: list[NetworkResult] = []
    hypernet = GHN(HYPERNET)
    evaluation = evaluate(hypernet, CONFIG, images=digits, progress=seen.append)
    assert [(result.split, result.index) for result in evaluation.networks] == [("test", 0), ("test", 1), ("bnfree", 0)]
    assert list(evaluation.networks) == seen
    assert [result.batch_norm for result in seen[2:]] == [False]
    assert same(evaluate(hypernet, CONFIG, images=digits).networks) == same(seen)
    assert json.loads(json.dumps(evaluation.to_dict()))["summary"][1]["split"] == "bnfree"
    assert str(evaluation).splitlines()[1].split()[:2] == ["test", "ghn"]
    assert (seen[0].start, seen[0].steps, seen[0].head, seen[0].batch_norm_mode) == ("ghn", 0, "ghn", "batch")
    assert seen[0].versions["torch"] == torch.__version__.partition("+")[0]


def test_starts_on_models_are_as_by_hand(digits: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    name = f"{tmp_path / 'mine.py'}:make"
    config = replace(
        CONFIG, splits={"test": 1}, models=(name,), starts=("default", "orthogonal+calibrate"), images=None, seed=3
    )
    found = evaluate(None, config, images=digits).networks
    assert [(one.kind, one.start) for one in found] == [
        ("split", "default"),
        ("split", "orthogonal+calibrate"),
        ("model", "default"),
        ("model", "orthogonal+calibrate"),
    ]
    # The second network: its seed is that of the evaluation and its number.
    seed = 3 * 1_000_003 + 1
    for result in found[2:]:
        torch.manual_seed(seed)
        model = build_model(ModelRequest(name=name)).model
        create(result.start)(model, sample_batches("digits", 512, seed=3), seed=seed)
        use_batch_statistics(model)
        scores = score(model.eval(), ImageStream(digits, batch_size=16, seed=seed))
        assert (result.top1, result.top5, result.loss) == (scores.top1, scores.top5, scores.loss)
    assert [one.head for one in found[2:]] == ["re-initialised", "orthogonal+calibrate"]


def test_a_network_that_fails_is_told_and_the_others_go_on(digits: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        MODULE + "\ndef wide():\n    return nn.Sequential(nn.Flatten(), nn.Linear(7, 10))\n"
        "\ndef few():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))\n"
        "\ndef map():\n    return nn.Conv2d(3, 10, 1)\n"
    )
    models = tuple(f"{tmp_path / 'mine.py'}:{name}" for name in ("wide", "few", "map", "make"))
    config = replace(CONFIG, splits={}, models=models, starts=("default",))
    wide, few, shaped, make = evaluate(None, config, images=digits, folder=tmp_path / "run").networks
    assert wide.error is not None
    assert wide.error.startswith("RuntimeError: mat1 and mat2 shapes cannot be multiplied")
    assert few.error is not None
    assert few.error.startswith("the network has 2 outputs, and the images have labels up to")
    assert shaped.error is not None
    assert "of shape (8, 10, 32, 32), and no scores (images, classes)" in shaped.error
    assert make.error is None
    again = evaluate(None, config, images=digits, folder=tmp_path / "run")
    assert [one.error for one in again.networks] == [wide.error, few.error, shaped.error, None]
    assert [row["split"] for row in again.rows()] == [models[3]]


def test_networks_of_a_published_file(digits: ImageSet, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    drawn = DeepNets("test")
    _, metadata = write_published(tmp_path, "mine", {"test": [drawn.arguments(1)]})
    config = replace(CONFIG, splits={"test": 1}, metadata=str(metadata))
    hypernet = GHN(HYPERNET)
    (result,) = evaluate(hypernet, config, images=digits).networks
    assert result.parameters == evaluate(hypernet, CONFIG, images=digits).networks[1].parameters


def test_every_test_image_counts() -> None:
    pytest.importorskip("sklearn")
    digits = load("digits", split="test")
    config = replace(CONFIG, splits={"test": 1}, images=None)
    (result,) = evaluate(GHN(HYPERNET), config, images=digits.subset(range(150))).networks
    assert result.images == 150
    (result,) = evaluate(GHN(HYPERNET), replace(config, images=100), images=digits).networks
    assert result.images == 100


def test_classes_must_agree(digits: ImageSet) -> None:
    with pytest.raises(ValueError, match="digits has 10 classes, the hypernetwork predicts 7; take another data set"):
        evaluate(GHN(replace(HYPERNET, num_classes=7)), CONFIG, images=digits)


def test_missing_images_say_what_to_fetch(tmp_path: object) -> None:
    with pytest.raises(DataError, match="no cifar10 in"):
        evaluate(GHN(HYPERNET), replace(CONFIG, data="cifar10", data_root=str(tmp_path)))


def test_each_network_sees_images_of_its_own_and_each_start_the_same(
    digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def remember(_: object, stream: ImageStream, **__: object) -> Scores:
        seen.append(stream.batch(0)[0])
        return Scores(top1=0.0, top5=0.0, loss=0.0, images=8)

    monkeypatch.setattr(run, "score", remember)
    hypernet = GHN(HYPERNET)
    for seed in (0, 1, 0):
        evaluate(hypernet, replace(CONFIG, seed=seed), images=digits)
    assert len(seen) == 9
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(seen[:6], 2))
    assert all(torch.equal(one, other) for one, other in zip(seen[:3], seen[6:], strict=True))
    seen.clear()
    evaluate(hypernet, replace(CONFIG, starts=("ghn", "default")), images=digits)
    assert [torch.equal(one, other) for one, other in itertools.pairwise(seen)] == [True, False, True, False, True]


# Going on


def test_it_goes_on_with_what_is_there(digits: ImageSet, tmp_path: Path) -> None:
    hypernet, config = GHN(HYPERNET), replace(CONFIG, starts=("ghn", "default"))
    expected = evaluate(hypernet, config, images=digits)

    class StopError(Exception):
        pass

    def stop(result: NetworkResult) -> None:
        if result.key[1:] == ("test", 1, "ghn"):
            raise StopError

    with pytest.raises(StopError):
        evaluate(hypernet, config, images=digits, folder=tmp_path / "run", progress=stop)
    before = (tmp_path / "run" / LINES_FILE).read_bytes()
    assert before.count(b"\n") == 3
    result = evaluate(hypernet, config, images=digits, folder=tmp_path / "run")
    assert same(result.networks) == same(expected.networks)
    after = (tmp_path / "run" / LINES_FILE).read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 6
    # What is done is not done again, nor are its times measured anew.
    assert evaluate(hypernet, config, images=digits, folder=tmp_path / "run") == result
    assert (tmp_path / "run" / LINES_FILE).read_bytes() == after


def test_another_evaluation_in_the_folder_is_refused(digits: ImageSet, tmp_path: Path) -> None:
    hypernet, config = GHN(HYPERNET), replace(CONFIG, splits={"bnfree": 1})
    evaluate(hypernet, config, images=digits, folder=tmp_path)
    with pytest.raises(StateError, match=r"holds another evaluation: images=8, not 9; take another folder, or that va"):
        evaluate(hypernet, replace(config, images=9), images=digits, folder=tmp_path)
    with pytest.raises(StateError, match="ghn reads other files or weights than before"):
        evaluate(GHN(replace(HYPERNET, layers=2)), config, images=digits, folder=tmp_path)
    with locked(tmp_path), pytest.raises(StateError, match="another evaluation runs in"):
        evaluate(hypernet, config, images=digits, folder=tmp_path)


def test_another_file_of_the_same_name_is_refused(digits: ImageSet, tmp_path: Path) -> None:
    request = ModelRequest(name="squeezenet1_1", num_classes=10, image_size=32)
    file = tmp_path / "start.safetensors"

    def write(seed: int) -> None:
        torch.manual_seed(seed)
        save_file(build_model(request).model.state_dict(), file)

    write(0)
    config = replace(CONFIG, splits={}, models=("squeezenet1_1",), starts=(str(file),))
    first = evaluate(None, config, images=digits, folder=tmp_path / "run")
    assert first == evaluate(None, config, images=digits, folder=tmp_path / "run")
    write(1)
    with pytest.raises(StateError, match="reads other files or weights than before; take another folder"):
        evaluate(None, config, images=digits, folder=tmp_path / "run")


WORDS = "evaluate --data digits --test 3 --wide 0 --deep 0 --dense 0 --bnfree 1 --no-predefined --images 64".split()
STARTS = ("--init", "ghn", "default", "default+noise:0.1rel", "--device", "cpu")


def start(*words: object) -> Program:
    """The command in a process."""
    return Program(COMMAND, *WORDS, *STARTS, *map(str, words), env=environment())


def torchrun(*words: object) -> list[str]:
    """The command in two processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port, "-m", "ghn"]
    return [*run, *WORDS, *STARTS, *map(str, words)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[NetworkResult]:
    """What one process gives that nobody ends."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("whole")
    done = start("--folder", folder / "run")
    _, errors = done.communicate()
    assert done.returncode == 0, errors
    return by_key(folder / "run")


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def by_key(folder: Path) -> list[NetworkResult]:
    return same(sorted(read_finished(folder).values(), key=lambda result: result.key))


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_nothing_and_changes_no_number(
    whole: list[NetworkResult], tmp_path: Path
) -> None:
    lines, folder = 0, tmp_path / "run"
    for wanted in (1, 5):
        with start("--folder", folder) as process:
            while lines < wanted:
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.01)
                file = folder / LINES_FILE
                lines = file.read_bytes().count(b"\n") if file.exists() else 0
            process.kill()
        content = (folder / LINES_FILE).read_bytes()
        # As if it had been killed within a line.
        (folder / LINES_FILE).write_bytes(content + content[:100])
    done = start("--folder", folder, "-o", tmp_path / "x.json")
    _, errors = done.communicate()
    assert done.returncode == 0, errors
    assert by_key(folder) == whole
    assert (folder / LINES_FILE).read_bytes().count(b"\n") == len(whole)
    assert len(json.loads((tmp_path / "x.json").read_text())["networks"]) == len(whole)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(whole: list[NetworkResult], tmp_path: Path) -> None:
    words = ["--folder", tmp_path / "run", "-o", tmp_path / "x.json"]
    done = subprocess.run(torchrun(*words), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert by_key(tmp_path / "run") == whole
    assert " ".join(done.stdout.split()).count("top-1 in per cent") == 1
    record = json.loads((tmp_path / "x.json").read_text())
    assert (record["planned"], record["finished"]) == (12, 12)
    assert [row["networks"] for row in record["summary"]] == [3, 3, 3, 1, 1, 1]


def test_interrupted_it_shows_and_saves_what_there_is(whole: list[NetworkResult], tmp_path: Path) -> None:
    with start("-o", tmp_path / "x.json") as process:
        for line in process.stderr:
            if line.startswith("4/12"):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "error: interrupted"
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["finished"] == len(record["networks"]) < record["planned"] == 12
    assert record["finished"] >= 4
    expected = {result.key: result.top1 for result in whole}
    found = [NetworkResult.from_dict(one) for one in record["networks"]]
    assert all(expected[one.key] == one.top1 for one in found)
    assert f"{record['finished']} of 12 done" in out


def test_a_share_of_the_networks(digits: ImageSet) -> None:
    hypernet = GHN(HYPERNET)
    expected = same(evaluate(hypernet, CONFIG, images=digits).networks)

    class Alone(Ranks):
        def gather_objects(self, value: Any) -> list[Any]:
            return [value]

    for rank in range(2):
        part = evaluate(hypernet, CONFIG, images=digits, ranks=Alone(rank=rank, world=2)).networks
        assert same(part) == expected[rank::2]


@pytest.mark.slow
def test_predefined_networks(digits: ImageSet) -> None:
    config = EvaluationConfig(data="digits", splits={}, images=8)
    resnet, vit = evaluate(GHN(HYPERNET), config, images=digits).networks
    assert (resnet.split, vit.split) == ("resnet50", "vit")
    assert (resnet.attention, vit.attention) == (False, True)
    assert resnet.parameters == 23_520_842
