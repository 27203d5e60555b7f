"""The step of a single network against its definition, and what it does without memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ghn.finetuning import FinetuneConfig
from ghn.finetuning.stepper import NetworkStepper
from ghn.training.stepper import Tally
from ghn.training.trainer import NonFiniteError, Trainer

CONFIG = FinetuneConfig(steps=4, learning_rate=0.1, clip=None, label_smoothing=0.1, max_nonfinite=2)
BATCH = 4


class Network(nn.Sequential):
    """A classifier; `after` makes of its scores what comes out."""

    def __init__(self, *, dropout: float = 0.0, after: Callable[[Tensor], Any] = lambda scores: scores) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Flatten(), nn.Linear(12, 8), nn.Dropout(dropout), nn.ReLU(), nn.Linear(8, 3))
        self.after = after

    def forward(self, images: Tensor) -> Any:
        return self.after(super().forward(images))


def a_batch(step: int = 0, count: int = BATCH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(count, 3, 2, 2, generator=generator), torch.randint(0, 3, (count,), generator=generator)


def make(network: nn.Module, config: FinetuneConfig = CONFIG) -> tuple[Trainer[tuple[Tensor, Tensor]], NetworkStepper]:
    stepper = NetworkStepper(config, network, BATCH)
    return Trainer(config, stepper), stepper


def gradient_of(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("count", [BATCH, BATCH - 1, 1])
@pytest.mark.parametrize("as_tuple", [False, True])
def test_gradient_is_that_of_the_mean_cross_entropy(count: int, as_tuple: bool) -> None:
    """Of the images that there are: the last batch of an epoch may be smaller."""
    network = Network(after=lambda scores: (scores, None) if as_tuple else scores)
    trainer, _ = make(network)
    images, labels = a_batch(count=count)
    other = Network()
    scores = other(images)
    loss = functional.cross_entropy(scores, labels, label_smoothing=0.1)
    loss.backward()
    report = trainer.step((images, labels))
    torch.testing.assert_close(gradient_of(network), gradient_of(other))
    assert report.loss == pytest.approx(loss.item(), rel=1e-6)
    assert report.means["accuracy"] == pytest.approx(float((scores.argmax(dim=1) == labels).float().mean()))
    assert (report.units, report.finite) == (count, True)
    assert all(report.seconds[part] > 0 for part in ("forward", "backward", "optimizer"))


def test_dropout_depends_on_seed_and_step_only() -> None:
    def losses(config: FinetuneConfig, first: int, noise: int) -> list[float]:
        torch.manual_seed(noise)
        trainer, _ = make(Network(dropout=0.5), replace(config, learning_rate=1e-30))
        trainer.step_count = first
        return [trainer.step(a_batch()).loss for _ in range(3 - first)]

    plain = losses(CONFIG, 0, noise=1)
    assert len(set(plain)) == 3
    assert losses(CONFIG, 0, noise=2) == plain
    assert losses(CONFIG, 1, noise=3) == plain[1:]
    assert not set(losses(replace(CONFIG, seed=1), 0, noise=1)) & set(plain)


def lack(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_batch_without_memory_is_skipped_whole(where: str, precision: str) -> None:
    network, untouched = Network(), Network()
    if where == "forward":
        handle = network[1].register_forward_pre_hook(lack)
    else:
        # The last layer has its gradient by then.
        handle = network.get_parameter("1.weight").register_hook(lack)
    trainer, _ = make(network, replace(CONFIG, precision=precision))  # type: ignore[arg-type]
    report = trainer.step(a_batch())
    assert (report.finite, report.units, report.out_of_memory) == (False, 0, BATCH)
    for mine, theirs in zip(network.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    handle.remove()
    assert trainer.step(a_batch()).finite
    network[1].register_forward_pre_hook(lack)
    trainer.step(a_batch())
    with pytest.raises(NonFiniteError, match=r"\(12 images lacked memory: take smaller batches\)$"):
        trainer.step(a_batch())


def test_a_gradient_cut_short_costs_the_step_of_other_ranks_too() -> None:
    """Their units take part, so that the number of units would not tell."""
    network = Network()
    network.get_parameter("1.weight").register_hook(lack)
    _, stepper = make(network)
    tally = Tally(stepper.sums, stepper.parts, scale=1.0, step=0, clock=time.perf_counter, device=torch.device("cpu"))
    stepper.gradient(a_batch(), tally)
    assert math.isnan(tally.read()["loss"])


def test_other_errors_are_not_swallowed() -> None:
    trainer, _ = make(Network())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trainer.step((torch.zeros(BATCH, 3, 5, 5), a_batch()[1]))
    with pytest.raises(IndexError):
        trainer.step((a_batch()[0], torch.full((BATCH,), 3)))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_layers_compute_in_the_precision_and_the_loss_does_not(precision: str) -> None:
    seen: list[torch.dtype] = []
    network = Network(after=lambda scores: seen.append(scores.dtype) or scores)  # type: ignore[func-returns-value]
    trainer, _ = make(network, replace(CONFIG, precision=precision))  # type: ignore[arg-type]
    report = trainer.step(a_batch())
    assert seen == [getattr(torch, precision)]
    whole, _ = make(Network())
    wanted = whole.step(a_batch())
    assert report.loss != wanted.loss
    assert report.loss == pytest.approx(wanted.loss, rel=2e-2)
    assert report.gradient_norm == pytest.approx(wanted.gradient_norm, rel=5e-2)


def test_losses_are_part_of_the_state_and_are_not_shared_with_it() -> None:
    trainer, stepper = make(Network())
    stepper.losses.append(2.0)
    state = trainer.state_dict()
    stepper.losses.append(3.0)
    assert state["losses"] == [2.0]
    again, other = make(Network())
    again.load_state_dict(state)
    other.losses.append(4.0)
    assert (other.losses, state["losses"]) == ([2.0, 4.0], [2.0])
    assert set(state["network"]) == set(Network().state_dict())


def test_mixed_labels_are_shares_of_classes() -> None:
    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        shares = 0.75 * torch.eye(3)[labels] + 0.25 * torch.eye(3)[labels.roll(1)]
        return images * 2, shares

    config = replace(CONFIG, label_smoothing=0.0)
    stepper = NetworkStepper(config, Network(), BATCH, mix=mix)  # type: ignore[arg-type]
    images, labels = a_batch()
    logs = functional.log_softmax(Network()(images * 2), dim=1)
    index = torch.arange(BATCH)
    wanted = -(0.75 * logs[index, labels] + 0.25 * logs[index, labels.roll(1)]).mean()
    report = Trainer(config, stepper).step((images, labels))
    assert report.loss == pytest.approx(wanted.item(), rel=1e-5)
    # Right is the class with the larger share.
    assert report.means["accuracy"] == pytest.approx(float((logs.argmax(1) == labels).float().mean()))


def test_processes_drop_other_numbers_and_mix_by_the_same() -> None:
    drawn: list[float] = []

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        drawn.append(float(torch.rand(())))
        return images, labels

    losses = []
    for rank in (0, 1, 1):
        stepper = NetworkStepper(CONFIG, Network(dropout=0.5), BATCH, mix=mix, rank=rank)  # type: ignore[arg-type]
        losses.append(Trainer(CONFIG, stepper).step(a_batch()).loss)
    assert drawn[0] == drawn[1] == drawn[2]
    assert losses[0] != losses[1] == losses[2]


def test_the_context_is_around_the_forward_pass_only() -> None:
    inside: list[bool] = []

    @contextmanager
    def around() -> Iterator[None]:
        inside.append(True)
        yield
        inside.append(False)

    network = Network(after=lambda scores: inside.append(None) or scores)  # type: ignore[func-returns-value, arg-type]
    Trainer(CONFIG, NetworkStepper(CONFIG, network, BATCH, around=around)).step(a_batch())
    assert inside == [True, None, False]
