"""The named runs."""

from __future__ import annotations

import json
import shlex

import pytest

from ghn.cli import parse, train
from ghn.data import DATA_SETS
from ghn.meta import RUNS, MetaTrainingConfig, named_run
from ghn.training.ranks import Ranks

EVERY = pytest.mark.parametrize("name", RUNS)


@EVERY
def test_every_run_states_paper_time_and_result(name: str) -> None:
    run = named_run(name)
    assert all((run.paper, run.time, run.result))
    assert MetaTrainingConfig.from_dict(json.loads(json.dumps(run.config.to_dict()))) == run.config


@EVERY
def test_the_command_starts_this_run_as_it_is(name: str) -> None:
    words = shlex.split(RUNS[name].command)
    options = parse(train, "train", words[words.index("train") + 1 :])
    assert (options.run, str(options.output)) == (name, f"runs/{name}")
    given = {key for key, value in vars(options).items() if value != getattr(train.Options(), key)}
    assert given <= {"run", "output", "data_root"}
    assert ("data_root" in given) == (RUNS[name].config.data != "digits")


@EVERY
def test_the_parts_of_a_run_fit_together(name: str) -> None:
    config = RUNS[name].config
    classes = {"imagenet": 1000, "cifar10": 10, "digits": 10}
    assert config.hypernet.num_classes == classes[config.data]
    assert config.image_size == (32 if config.data in DATA_SETS else 224)
    assert config.space.split == "train"
    # Something is saved and logged, and validated where it is asked for, before the end.
    assert max(config.save_every, config.log_every, config.validate_every) <= max(config.steps, 200)
    if "torchrun" in RUNS[name].command:
        assert [len(Ranks(rank=rank, world=8).share(config.meta_batch)) for rank in range(8)] == [
            config.meta_batch // 8
        ] * 8


def test_published_lengths() -> None:
    """Epochs of whole batches: 75 of ImageNet, and of CIFAR-10 without 5,000 images 75 or (GHN-2) 300."""
    lengths = {name: RUNS[name].config.steps for name in ("ghn3-t-m8", "ghn3-xl-m16", "ghn3-t-cifar10", "ghn2-cifar10")}
    assert lengths == {
        "ghn3-t-m8": 75 * 10_009,
        "ghn3-xl-m16": 75 * 10_009,
        "ghn3-t-cifar10": 75 * 351,
        "ghn2-cifar10": 300 * 703,
    }


def test_an_unknown_run_is_refused_with_the_names_of_others() -> None:
    with pytest.raises(ValueError, match=r"unknown run 'ghn4': there are ghn3-t-m8, .*, digits-smoke$"):
        named_run("ghn4")


def test_nobody_can_change_the_runs() -> None:
    with pytest.raises(TypeError):
        RUNS["mine"] = RUNS["digits-smoke"]  # type: ignore[index]
