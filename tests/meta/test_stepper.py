"""The step of meta-training against eq. 10 written out, and what it does when something goes wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from ghn.hypernet import GHNConfig
from ghn.meta.config import MetaTrainingConfig, Space
from ghn.meta.run import make_targets, meta_batches
from ghn.meta.stepper import MetaWork, meta_trainer
from ghn.meta.targets import Target
from ghn.model import GHN
from ghn.training.trainer import NonFiniteError, Trainer

CPU = torch.device("cpu")
SMALL = GHNConfig(hidden=8, layers=1, heads=2, num_classes=10, max_channels=8, spatial=3)
CONFIG = MetaTrainingConfig(
    hypernet=SMALL,
    space=Space(max_megamacs=25.0, max_cells=5),
    meta_batch=3,
    images=4,
    steps=10,
    warmup=0.0,
    penalty=1e-2,
)


def some_targets() -> list[Target]:
    targets = make_targets(meta_batches(CONFIG, CONFIG.space)[0], CONFIG, CPU)
    for target in targets:
        for module in target.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    return targets


def some_images(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 32, 32, generator=generator), torch.randint(0, 10, (count,), generator=generator)


def work(targets: list[Target], batches: list[tuple[torch.Tensor, torch.Tensor]]) -> MetaWork:
    return MetaWork(targets=targets, batches=batches)


def a_hypernet(config: GHNConfig = SMALL) -> GHN:
    torch.manual_seed(0)
    return GHN(config)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("accumulate", [None, 1, 2])
def test_gradient_is_that_of_equation_10(squared: bool, accumulate: int | None) -> None:
    config = replace(
        CONFIG, penalty_form="squared" if squared else "norm", accumulate=accumulate, clip=1e9, label_smoothing=0.1
    )
    targets, (images, labels) = some_targets(), some_images()
    hypernet = a_hypernet()
    trainer = meta_trainer(config, hypernet)
    report = trainer.step(work(targets, [(images, labels)] * 3), norms=True, timed=False)
    assert report.seconds == {}

    other = a_hypernet()
    total = torch.zeros(())
    losses = []
    for target, weights in zip(targets, other([target.graph for target in targets]), strict=True):
        loss = functional.cross_entropy(
            functional_call(target.network, weights, (images,)), labels, label_smoothing=0.1
        )
        norms = torch.stack([weight.norm() for weight in weights.values()])
        total = total + (loss + config.penalty * (norms.square() if squared else norms).sum()) / 3
        losses.append(loss.item())
    total.backward()
    for (name, mine), theirs in zip(hypernet.named_parameters(), other.parameters(), strict=True):
        wanted = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad
        torch.testing.assert_close(mine.grad, wanted, rtol=1e-4, atol=1e-6, msg=name)
    assert report.loss == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert report.units == 3
    assert report.finite


def test_draws_inside_a_network_depend_on_step_and_slot_only() -> None:
    targets, (images, labels) = some_targets(), some_images()
    seen: list[list[float]] = []
    for target in targets:
        target.network.register_forward_pre_hook(lambda *_: seen[-1].append(float(torch.rand(()))))
    for accumulate in (None, 1):
        seen.append([])
        torch.rand(3 if accumulate else 5)
        trainer = meta_trainer(replace(CONFIG, accumulate=accumulate), a_hypernet())
        for _ in range(2):
            trainer.step(work(targets, [(images, labels)] * 3))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 6


def let_fail(target: Target, error: RuntimeError) -> None:
    """Let the network raise `error` when it is run."""

    def fail(*_: object) -> None:
        raise error

    target.network.register_forward_pre_hook(fail)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_a_network_without_memory_is_skipped(error: RuntimeError) -> None:
    targets, (images, labels) = some_targets(), some_images()
    hypernet, other = a_hypernet(), a_hypernet()
    let_fail(targets[1], error)
    trainer = meta_trainer(CONFIG, hypernet)
    report = trainer.step(work(targets, [(images, labels)] * 3))
    assert (report.units, report.out_of_memory, trainer.out_of_memory) == (2, 1, 1)
    # The mean is over those that took part: the step of a meta-batch of these two.
    meta_trainer(replace(CONFIG, meta_batch=2), other).step(work([targets[0], targets[2]], [(images, labels)] * 2))
    for mine, theirs in zip(hypernet.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulate", [None, 1])
def test_a_part_that_the_hypernetwork_has_no_memory_for_is_skipped(accumulate: int | None) -> None:
    targets, (images, labels) = some_targets(), some_images()
    hypernet, other = a_hypernet(), a_hypernet()
    calls: list[int] = []

    def fail_at_second_part(*_: object) -> None:
        calls.append(len(calls))
        if len(calls) == 2 or accumulate is None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hypernet.register_forward_pre_hook(fail_at_second_part)
    report = meta_trainer(replace(CONFIG, accumulate=accumulate), hypernet).step(work(targets, [(images, labels)] * 3))
    if accumulate is None:
        assert (report.units, report.out_of_memory, report.finite) == (0, 3, False)
        return
    assert (report.units, report.out_of_memory, report.finite) == (2, 1, True)
    meta_trainer(replace(CONFIG, meta_batch=2), other).step(work([targets[0], targets[2]], [(images, labels)] * 2))
    for mine, theirs in zip(hypernet.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_backward_pass_cut_short_for_want_of_memory_costs_the_step() -> None:
    targets, (images, labels) = some_targets(), some_images()
    hypernet, untouched = a_hypernet(), a_hypernet()

    def fail(_: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    hypernet.embed.weight.register_hook(fail)
    trainer = meta_trainer(replace(CONFIG, max_nonfinite=2), hypernet)
    report = trainer.step(work(targets, [(images, labels)] * 3))
    assert (report.finite, report.out_of_memory, trainer.skipped) == (False, 3, 1)
    for mine, theirs in zip(hypernet.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(NonFiniteError, match=r"2 steps in a row .*\(6 networks lacked memory: lower accumulate\)"):
        trainer.step(work(targets, [(images, labels)] * 3))


def test_a_step_without_any_network_is_skipped() -> None:
    targets, (images, labels) = some_targets(), some_images()
    hypernet, untouched = a_hypernet(), a_hypernet()
    for target in targets:
        let_fail(target, torch.OutOfMemoryError("CUDA out of memory"))
    report = meta_trainer(CONFIG, hypernet).step(work(targets, [(images, labels)] * 3))
    assert not report.finite
    for mine, theirs in zip(hypernet.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_other_errors_are_not_swallowed() -> None:
    targets, (images, labels) = some_targets(), some_images()
    let_fail(targets[2], RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        meta_trainer(CONFIG, a_hypernet()).step(work(targets, [(images, labels)] * 3))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_keeps_classifier_and_predictions_in_float32(precision: str) -> None:
    config = replace(CONFIG, precision=precision)  # type: ignore[arg-type]
    drawn = meta_batches(config, config.space)[0]
    targets, (images, labels) = make_targets(drawn, config, CPU), some_images()
    kinds: dict[str, set[torch.dtype]] = {"head": set(), "body": set()}
    for target in targets:
        for name, module in target.network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                is_head = (
                    target.graph.parameters[f"{name}.weight"].head
                    if f"{name}.weight" in target.graph.parameters
                    else False
                )
                store = kinds["head" if is_head else "body"]
                module.register_forward_hook(lambda _, __, output, store=store: store.add(output.dtype))
    report = meta_trainer(config, a_hypernet()).step(work(targets, [(images, labels)] * 3))
    assert kinds["head"] == {torch.float32}
    assert getattr(torch, precision) in kinds["body"]
    assert report.units == 3


def test_bfloat16_is_close_to_float32() -> None:
    reports = []
    for precision in ("float32", "bfloat16"):
        config = replace(CONFIG, precision=precision)  # type: ignore[arg-type]
        drawn = meta_batches(config, config.space)[0]
        images, labels = some_images(16)
        torch.manual_seed(0)
        reports.append(
            meta_trainer(config, a_hypernet()).step(work(make_targets(drawn, config, CPU), [(images, labels)] * 3))
        )
    assert reports[0].loss == pytest.approx(reports[1].loss, rel=2e-2)
    assert reports[0].gradient_norm == pytest.approx(reports[1].gradient_norm, rel=0.2)


def float16_step(config: MetaTrainingConfig, scale: float) -> Trainer[MetaWork]:
    """A trainer after one step in float16 on the CPU that began with a loss scale."""
    targets = make_targets(meta_batches(config, config.space)[0], config, CPU)
    trainer = meta_trainer(config, a_hypernet())
    trainer.scaler.load_state_dict(trainer.scaler.state_dict() | {"scale": scale})
    images, labels = some_images()
    trainer.step(work(targets, [(images, labels)] * 3))
    return trainer


def test_the_loss_scale_of_float16_is_taken_out_of_every_part_of_the_gradient() -> None:
    config = replace(CONFIG, precision="float16", clip=1e9, penalty=1.0)
    gradients = []
    for scale in (2.0**6, 2.0**12):
        trainer = float16_step(config, scale)
        assert trainer.skipped == 0
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.parameters if p.grad is not None]))
    difference = (gradients[0] - gradients[1]).norm() / gradients[1].norm()
    assert difference < 1e-2
    without = float16_step(replace(config, penalty=0.0), 2.0**6)
    loss_only = torch.cat([p.grad.flatten() for p in without.parameters if p.grad is not None])
    # The regulariser is a good part of it, so that a wrong scale on it alone would be seen.
    assert (gradients[0] - loss_only).norm() > 0.1 * loss_only.norm()


@pytest.mark.parametrize("preset", ["ghn2", "mlp"])
def test_other_hypernetworks_train_as_well(preset: str) -> None:
    targets, (images, labels) = some_targets(), some_images()
    hypernet = GHN(GHNConfig.preset(preset, num_classes=10, hidden=8, max_channels=8, spatial=3))
    trainer = meta_trainer(CONFIG, hypernet)
    before = [parameter.clone() for parameter in hypernet.parameters()]
    assert trainer.step(work(targets, [(images, labels)] * 3)).finite
    changed = [not torch.equal(now, old) for now, old in zip(hypernet.parameters(), before, strict=True)]
    assert sum(changed) > len(changed) / 2
