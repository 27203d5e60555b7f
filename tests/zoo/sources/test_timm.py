"""timm: no weights, no warnings, sizes."""

import warnings

import pytest

from tests.zoo.models import build, refusal


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:test_vit.r160_in1k"])
def test_built_without_weights_or_warnings(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(parameter.numel() for parameter in build(name).parameters()) > 1000


def test_image_size_reaches_models_that_fix_it() -> None:
    model = build("timm:vit_tiny_patch16_224", image_size=64, meta=True)
    assert dict(model.named_parameters())["pos_embed"].shape[1] == 17


def test_options_reach_the_constructor() -> None:
    assert build("timm:resnet10t,drop_rate=0.25", meta=True).drop_rate == 0.25


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("timm:resnet55", ["timm has no model 'resnet55'", "timm:resnet50"]),
        ("timm:hf-hub:user/model", ["timm has no model"]),
        ("timm:resnet10t,pretrained=true", ["cannot be built: TypeError", "multiple values", "'pretrained'"]),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_refusals(name: str, parts: list[str]) -> None:
    line = refusal(name)
    assert all(part in line for part in parts), line
