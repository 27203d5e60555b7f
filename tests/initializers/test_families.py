"""Every start on models of different families: torchvision's and timm's."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers import create
from ghn.initializers.layers import layers_of
from ghn.initializers.lsuv import TOLERANCE
from ghn.initializers.report import Batch, StartReport
from tests.initializers.networks import state

torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")

_TIMM: dict[str, dict[str, int]] = {
    "mobilenetv3_small_050": {},
    "convnext_atto": {},
    "regnety_002": {},
    "deit_tiny_patch16_224": {"img_size": 32},
    "mixer_s32_224": {"img_size": 64},
}
MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet50": (lambda: torchvision.models.resnet50(num_classes=10), 32),
    "swin_t": (lambda: torchvision.models.swin_t(num_classes=10), 32),
    "vit_b_16": (lambda: torchvision.models.vit_b_16(num_classes=10, image_size=32), 32),
    "efficientnet_b0": (lambda: torchvision.models.efficientnet_b0(num_classes=10), 32),
    **{
        name: (functools.partial(timm.create_model, name, num_classes=10, **options), options.get("img_size", 32))
        for name, options in _TIMM.items()
    },
}
QUICK = ("mobilenetv3_small_050",)
"""That which is tested each time; the others take minutes."""

NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
LEARNED = ["metainit:images,steps=1,lr=0.01", "gradinit:steps=1", "gradinit:adam,steps=1", "nio:steps=1"]


def made(name: str) -> tuple[nn.Module, list[Batch]]:
    torch.manual_seed(0)
    make, size = MODELS[name]
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.randn(8, 3, size, size, generator=generator), torch.arange(8) % 10) for _ in range(2)]
    return make(), batches


def check_complete(model: nn.Module, report: StartReport, before: dict[str, Tensor]) -> None:
    """Every parameter is in the report, changed where it says so, and finite; buffers stay."""
    names = {name for name, _ in model.named_parameters()}
    assert set(report.changed) | set(report.kept) == names
    assert not set(report.changed) & set(report.kept)
    for name, value in state(model).items():
        assert bool(value.isfinite().all()), name
        if name not in report.changed:
            assert torch.equal(value, before[name]), name
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", ["orthogonal", "delta-orthogonal", "orthogonalise"])
def test_weights_are_orthogonal(name: str, start: str) -> None:
    model, batches = made(name)
    before = state(model)
    report = create(start)(model, batches, seed=1).steps[-1]
    check_complete(model, report, before)
    weights = [layer for layer in layers_of(model, batches).weights if layer.name in report.changed]
    assert len(weights) > 10
    for layer in weights:
        for weight in layer.matrices:
            matrix = weight.flatten(1)
            if start == "delta-orthogonal":
                middle = weight
                for size in weight.shape[2:]:
                    middle = middle[:, :, size // 2]
                assert float(weight.norm()) == pytest.approx(float(middle.norm()), rel=1e-4)
                matrix = middle
            wide = len(matrix) <= matrix.shape[1]
            gram = matrix @ matrix.T if wide else matrix.T @ matrix
            expected = torch.eye(len(gram)) * (gram.diagonal().mean() if start == "orthogonalise" else 1)
            torch.testing.assert_close(gram, expected, atol=1e-3 * float(expected[0, 0]), rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_layers_compute_unit_variance(name: str) -> None:
    model, batches = made(name)
    before = state(model)
    report = create("lsuv")(model, batches, seed=1).steps[-1]
    assert report.notes == ()
    check_complete(model, report, before)
    variances: dict[str, float] = {}

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _, __, output: variances.__setitem__(name, float(output.var(correction=0)))

    for place, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and f"{place}.weight" in report.changed:
            module.register_forward_hook(hook(f"{place}.weight"))
    torch.manual_seed(1)
    with torch.no_grad():
        model.train()(batches[0][0])
    # Attention of torchvision calls no modules.
    assert len(variances) > 20
    assert {name for name, variance in variances.items() if abs(variance - 1) >= TOLERANCE} == set()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", LEARNED)
def test_scales_are_learned(name: str, start: str) -> None:
    model, batches = made(name)
    before = state(model)
    report = create(start)(model, batches, seed=1).steps[-1]
    check_complete(model, report, before)
    assert report.changed or report.notes[-1].startswith("the model stays")
    after = state(model)
    for key in report.changed:
        scale = float(after[key].norm() / before[key].norm())
        assert 0 < scale != 1
        torch.testing.assert_close(after[key], before[key] * scale, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_attention_is_found(name: str) -> None:
    model, batches = made(name)
    before = state(model)
    report = create("mimetic")(model, batches, seed=1).steps[-1]
    check_complete(model, report, before)
    if not any(word in name for word in ("swin", "vit", "deit")):
        assert report.changed == ()
        return
    assert report.notes[0].startswith("12 attentions: queries and keys of")
    assert "12 outputs" in report.notes[0]
    assert len(report.changed) == 24 + ("swin" not in name)
    assert len(report.notes) == 1
