"""Chains by name."""

from __future__ import annotations

import pytest
import torch

from ghn.initializers import NAMES, create
from ghn.initializers.chain import _FOLLOWING, _STARTS
from tests.initializers.networks import images, small, state


def test_every_name_has_a_line() -> None:
    assert NAMES.keys() == {*_STARTS, *_FOLLOWING}


def test_steps_follow_each_other() -> None:
    chain = create("orthogonal+noise:0.3rel+calibrate")
    assert (chain.name, chain.needs_images) == ("orthogonal+noise:0.3rel+calibrate", 16)
    one, other = small(), small()
    report = chain(one, iter(images()), seed=5)
    for name in ("orthogonal", "noise:0.3rel", "calibrate"):
        create(name)(other, images(), seed=5)
    assert all(torch.equal(value, state(other)[name]) for name, value in state(one).items())
    assert [step.name for step in report.steps] == ["orthogonal", "noise:0.3rel", "calibrate"]
    assert not set(report.kept) & set(report.changed)
    assert report.seconds >= max(step.seconds for step in report.steps) > 0
    assert "orthogonal+noise:0.3rel+calibrate" in str(report)


def test_a_step_that_comes_again_draws_other_numbers() -> None:
    once, twice, start = small(), small(), state(small())
    create("noise:0.1")(once, seed=3)
    create("noise:0.1+noise:0.1")(twice, seed=3)
    first = torch.cat([(value - start[name]).flatten() for name, value in state(once).items() if "weight" in name])
    both = torch.cat([(value - start[name]).flatten() for name, value in state(twice).items() if "weight" in name])
    assert float(torch.corrcoef(torch.stack([first, both - first]))[0, 1].abs()) < 0.2
    # The variances of independent noises add up.
    torch.testing.assert_close(float(both.std()), 0.1 * 2**0.5, rtol=0.1, atol=0)


def test_what_follows_follows_the_models_own_start() -> None:
    assert [step.name for step in create("noise").steps] == ["default", "noise:1e-5"]


def test_a_name_of_a_folder_may_hold_a_plus() -> None:
    assert [step.name for step in create("ghn:runs/a+b+calibrate").steps] == ["ghn:runs/a+b", "calibrate"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ortogonal", "unknown initialiser 'ortogonal'; did you mean orthogonal"),
        ("ghn+calibrat", "unknown initialiser 'calibrat'; did you mean calibrate"),
        ("zzz", "unknown initialiser 'zzz'; there are default, orthogonal"),
        ("", "a start is an empty text; give it a name"),
        ("noise:much", "noise takes an amount such as 1e-5, or relative such as 0.3rel, not 'much'"),
        ("noise:-1", "not '-1'"),
        ("noise:nan", "not 'nan'"),
        ("orthogonal:3", "orthogonal takes no argument, not '3'"),
        ("calibrate+ghn", "ghn sets all anew and cannot follow calibrate; put it first"),
    ],
)
def test_what_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create(text)


def test_a_chain_that_needs_images_says_how_many() -> None:
    with pytest.raises(ValueError, match=r"default\+calibrate needs at least 16 labelled images, not 0"):
        create("calibrate")(small())
