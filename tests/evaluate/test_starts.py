"""Starts of an evaluation, the fast way and the plain one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from ghn.evaluate.accuracy import score
from ghn.evaluate.images import EvaluationImages
from ghn.evaluate.networks import Candidate, candidates
from ghn.evaluate.starts import Start, head_of
from ghn.hypernet import GHNConfig
from ghn.initializers import StartReport, create
from ghn.model import GHN
from tests.evaluate.some import toy
from tests.evaluate.test_config import CONFIG

CPU = torch.device("cpu")
HYPERNET = GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3)


@pytest.fixture(scope="module")
def hypernet() -> GHN:
    torch.manual_seed(0)
    return GHN(HYPERNET)


@pytest.fixture(scope="module")
def networks() -> Sequence[Candidate]:
    return candidates(CONFIG, 32, 10)


IMAGES = EvaluationImages(CONFIG, CPU, toy(32))


@pytest.mark.parametrize("index", range(3))
def test_the_fast_way_gives_the_numbers_of_the_plain_one(
    index: int, hypernet: GHN, networks: Sequence[Candidate]
) -> None:
    candidate = networks[index]
    fast = Start("ghn", hypernet, CPU).begin(candidate, IMAGES, "batch", 5)
    assert fast.weights is not None
    # A step that changes nothing takes it off the fast way.
    plain = Start("ghn+noise:0", hypernet, CPU).begin(candidate, IMAGES, "batch", 5)
    assert plain.weights is None
    numbers = dict(plain.network.named_parameters())
    assert all(torch.equal(numbers[name], weight) for name, weight in fast.weights.items())
    one = score(fast.network, IMAGES.stream(index), weights=fast.weights)
    assert one == score(plain.network, IMAGES.stream(index))
    assert fast.head == "ghn"
    assert plain.head is not None
    assert plain.head.startswith("ghn")


def test_a_chain_is_what_it_is_elsewhere(hypernet: GHN, networks: Sequence[Candidate]) -> None:
    candidate = networks[0]
    started = Start("orthogonal+noise:0.1rel", None, CPU).begin(candidate, IMAGES, "running", 7)
    network = candidate.build(7)
    create("orthogonal+noise:0.1rel")(network, IMAGES.shape, seed=7)
    expected = dict(network.named_parameters())
    assert all(torch.equal(expected[name], value) for name, value in started.network.named_parameters())
    assert started.parameters == sum(value.numel() for value in expected.values())
    assert not started.network.training


def test_running_statistics_are_what_the_start_sets(networks: Sequence[Candidate]) -> None:
    images = EvaluationImages(CONFIG, CPU, toy(32))
    images.__dict__["training"] = [IMAGES.stream(9).batch(0)]
    own = Start("default", None, CPU).begin(networks[0], images, "running", 1)
    fitted = Start("default+statistics", None, CPU).begin(networks[0], images, "running", 1)
    batch = Start("default+statistics", None, CPU).begin(networks[0], images, "batch", 1)
    scores = [score(one.network, images.stream(0)) for one in (own, fitted, batch)]
    assert len({one.loss for one in scores}) == 3
    assert not list(batch.network.buffers())
    assert (own.head, fitted.head) == ("re-initialised", "re-initialised")


def test_the_head_is_told(networks: Sequence[Candidate]) -> None:
    graph = networks[0].graph
    assert graph is not None
    (head,) = [name for name, spec in graph.parameters.items() if spec.head and name.endswith("weight")]
    set_it = StartReport(name="a", changed=(head,))
    other = StartReport(name="b", changed=("stem.0.weight",))
    chain = StartReport(name="a+b", changed=(head,), steps=(set_it, other))
    assert head_of(graph, chain) == "a"
    assert head_of(graph, replace(chain, steps=(set_it, other, replace(set_it, name="c")))) == "a+c"
    assert head_of(graph, other) == "re-initialised"
    assert head_of(None, chain) is None


def test_what_cannot_start(hypernet: GHN) -> None:
    with pytest.raises(ValueError, match="the start 'ghn' needs a hypernetwork; give one, or name it: ghn:NAME"):
        Start("ghn", None, CPU)
    with pytest.raises(ValueError, match="unknown hypernetwork 'nosuch'"):
        Start("ghn:nosuch", None, CPU)
    with pytest.raises(ValueError, match="toy has 7 classes, the hypernetwork predicts 10; take another data set"):
        Start("ghn+noise", hypernet, CPU).check_classes(7, "toy")
    Start("ghn+calibrate", hypernet, CPU).check_classes(7, "toy")
    Start("default", hypernet, CPU).check_classes(7, "toy")


def test_a_named_hypernetwork_is_another_than_the_given_one(hypernet: GHN) -> None:
    named = Start("ghn:ghn3-t-cifar10+noise", hypernet, CPU)
    assert named.hypernet is not hypernet
    assert named.chain.name == "ghn:ghn3-t-cifar10+noise:1e-5"
    assert Start("ghn", hypernet, CPU).hypernet is hypernet
