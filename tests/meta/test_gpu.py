"""Meta-training on a CUDA device: `pytest -m gpu`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ghn.meta.run import make_targets, meta_batches, train
from ghn.meta.stepper import MetaWork, meta_trainer
from ghn.model import GHN
from ghn.training.precision import Precision
from ghn.training.ranks import Ranks
from ghn.training.trainer import StepReport, Trainer
from tests.meta.tiny import TINY

pytestmark = pytest.mark.gpu

CONFIG = replace(
    TINY,
    meta_batch=3,
    images=8,
    steps=4,
    warmup=0.0,
    clip=1e9,
)


@pytest.fixture(autouse=True, scope="module")
def _needs_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def one_step(device: str, precision: Precision = "float32") -> tuple[Trainer[MetaWork], StepReport]:
    torch.manual_seed(0)
    config = replace(CONFIG, precision=precision)
    trainer = meta_trainer(config, GHN(config.hypernet).to(device), Ranks(device=torch.device(device)))
    targets = make_targets(meta_batches(config, config.space)[0], config, trainer.device)
    for target in targets:
        for module in target.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, 32, 32, generator=generator).to(device)
    labels = torch.randint(0, 10, (8,), generator=generator).to(device)
    return trainer, trainer.step(MetaWork(targets=targets, batches=[(images, labels)] * 3))


def gradient(trainer: Trainer[MetaWork]) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.parameters if p.grad is not None]).cpu()


@pytest.mark.parametrize(("precision", "likeness"), [("float32", 0.999), ("bfloat16", 0.8), ("float16", 0.95)])
def test_a_step_is_that_of_the_cpu(precision: Precision, likeness: float) -> None:
    expected, on_cpu = one_step("cpu")
    trainer, report = one_step("cuda", precision)
    assert (report.units, report.out_of_memory) == (3, 0)
    assert report.loss == pytest.approx(on_cpu.loss, rel=5e-2)
    assert float(nn.functional.cosine_similarity(gradient(trainer), gradient(expected), dim=0)) > likeness


def test_overflow_halves_the_loss_scale() -> None:
    trainer, _ = one_step("cuda", "float16")
    before, skipped = trainer.scaler.get_scale(), trainer.skipped
    targets = make_targets(meta_batches(CONFIG, CONFIG.space)[1], replace(CONFIG, precision="float16"), trainer.device)
    images = torch.full((8, 3, 32, 32), torch.inf, device="cuda")
    report = trainer.step(
        MetaWork(targets=targets, batches=[(images, torch.zeros(8, dtype=torch.int64, device="cuda"))] * 3)
    )
    assert not report.finite
    assert trainer.skipped == skipped + 1
    assert trainer.scaler.get_scale() == before / 2


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_run_goes_on_from_the_cpu_to_the_device_and_back(tmp_path: Path, precision: Precision) -> None:
    config = replace(CONFIG, precision=precision, workers=1)
    for device in ("cpu", "cuda", "cpu"):
        trainer = train(config, tmp_path, device=device, stop_after=1, quiet=True)
    assert trainer.step_count == 3
    assert all(parameter.isfinite().all() for parameter in trainer.parameters)


def test_a_network_too_large_for_the_device_is_skipped() -> None:
    trainer, _ = one_step("cuda")
    targets = make_targets(meta_batches(CONFIG, CONFIG.space)[1], CONFIG, trainer.device)
    small = torch.zeros(8, 3, 32, 32, device="cuda"), torch.zeros(8, dtype=torch.int64, device="cuda")
    # Expanded images need no memory themselves; what is computed from them does.
    count = torch.cuda.get_device_properties(0).total_memory // (4 * 3 * 32 * 32)
    large = small[0][:1].expand(count, -1, -1, -1), small[1][:1].expand(count)
    report = trainer.step(MetaWork(targets=targets, batches=[small, large, small]))
    assert (report.units, report.out_of_memory, report.finite) == (2, 1, True)
