"""Weight selection as a whole: the identity, the published rule, and complete reports."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ghn.initializers import WeightSelection, create
from ghn.zoo import ModelRequest, build_model
from tests.initializers.transfer.networks import IMAGES, Transformer, filled, plain, state
from tests.initializers.transfer.test_fit import published

BATCH = [(IMAGES, torch.zeros(2, dtype=torch.int64))]


def zoo(name: str, seed: int) -> nn.Module:
    return filled(build_model(ModelRequest(name=name)).model, seed)


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "densenet121",
        "mobilenet_v3_small",
        "swin_t",
        "timm:vit_tiny_patch16_224",
        "timm:convnext_atto",
        "timm:regnetz_005",
        "timm:deit_tiny_distilled_patch16_224",
        "hf:vit,num_hidden_layers=2,hidden_size=48,num_attention_heads=3",
    ],
)
def test_from_a_network_to_itself_it_is_the_identity(name: str) -> None:
    source, model = zoo(name, 1), zoo(name, 2)
    before = state(source)
    report = WeightSelection(source)(model)
    assert set(report.changed) == before.keys()
    assert not report.kept
    assert all(torch.equal(value, before[key]) for key, value in state(model).items())
    assert all(torch.equal(value, before[key]) for key, value in state(source).items())
    assert all(f"{key} <- {key}" in report.notes for key in before)


@pytest.mark.parametrize(
    ("name", "larger"),
    [
        ("resnet18", "resnet34"),
        pytest.param("resnet50", "wide_resnet50_2", marks=pytest.mark.slow),
        pytest.param("densenet121", "densenet169", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", "efficientnet_b2", marks=pytest.mark.slow),
        pytest.param("swin_t", "swin_s", marks=pytest.mark.slow),
        ("timm:vit_tiny_patch16_224,depth=4", "timm:vit_small_patch16_224,depth=7"),
        ("timm:convnext_atto", "timm:convnext_nano"),
    ],
)
def test_from_a_larger_one_of_the_family_it_is_the_published_rule(name: str, larger: str) -> None:
    """The first N layers of each stage, which have the same names, evenly spaced along each axis."""
    source, model = zoo(larger, 1), zoo(name, 2)
    report = WeightSelection(source)(model)
    teacher = state(source)
    assert not report.kept
    for key, value in state(model).items():
        wanted: Tensor = published(teacher[key], tuple(value.shape))
        assert torch.equal(value, wanted), key


def test_names_are_not_what_tells_layers_apart() -> None:
    source, model = filled(plain(8, blocks=3)), filled(plain(4, blocks=2), 2)
    renamed = nn.Sequential()
    for index, layer in enumerate(source.children()):
        renamed.add_module(f"part{31 - index}", layer)
    report = WeightSelection(renamed)(model, BATCH)
    teacher = state(source)
    # Of three blocks in each stage the first two; a pool is what stages begin with.
    places = {"0": "0", "1": "1", "3": "3", "4": "4", "7": "10", "8": "11", "10": "13", "11": "14", "16": "22"}
    for key, value in state(model).items():
        place, _, leaf = key.partition(".")
        assert torch.equal(value, published(teacher[f"{places[place]}.{leaf}"], tuple(value.shape))), key
    assert "0.weight <- part31.weight" in report.notes


def test_the_report_and_everything_but_the_tensors() -> None:
    source, model = filled(plain(4)).train(), filled(Transformer(8, 2), 2).train()
    random = torch.get_rng_state()
    report = WeightSelection(source, example_inputs=IMAGES)(model, BATCH)
    assert torch.equal(torch.get_rng_state(), random)
    assert source.training
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert sorted([*report.changed, *report.kept]) == sorted(state(model))
    assert report.kept["positions"] == "the source has no position embedding"
    assert report.kept["token"] == "the source has no such tensor"
    assert all(bool(value.isfinite().all()) for value in state(model).values())
    sources = {note.partition(" <- ")[0] for note in report.notes if " <- " in note}
    assert sources == {*report.changed}


@pytest.mark.parametrize(
    "name",
    [
        "densenet121",
        pytest.param("swin_t", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", marks=pytest.mark.slow),
        "timm:convnext_atto",
    ],
)
@pytest.mark.parametrize("source", ["resnet18", "timm:vit_tiny_patch16_224,depth=3"])
def test_across_families_all_is_finite_and_accounted_for(source: str, name: str) -> None:
    model = zoo(name, 2)
    report = WeightSelection(zoo(source, 1))(model)
    tensors = state(model)
    assert sorted([*report.changed, *report.kept]) == sorted(tensors)
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    assert {key for key in report.changed if "running" not in key}


def test_a_source_that_shares_nothing() -> None:
    with pytest.raises(ValueError, match=r"weight-selection shares nothing with Sequential: no layer of Bilinear"):
        WeightSelection(nn.Bilinear(3, 4, 5), example_inputs=(torch.zeros(2, 3), torch.zeros(2, 4)))(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), BATCH
        )


def test_in_a_chain(tmp_path: Path) -> None:
    source = zoo("resnet18,num_classes=7", 1)
    torch.save(source.state_dict(), tmp_path / "a+b.pth")
    model = zoo("resnet18,num_classes=7", 2)
    report = create(f"weight-selection:resnet18@{tmp_path}/a+b.pth+noise:0")(model)
    assert all(torch.equal(value, state(source)[key]) for key, value in state(model).items())
    assert len(report.steps) == 2
    with pytest.raises(ValueError, match="weight-selection takes a trained model: MODEL@FILE"):
        create("weight-selection")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_of_numbers_are_kept(dtype: torch.dtype) -> None:
    source, model = filled(plain(4)).to(dtype), filled(plain(4), 2).to(dtype)
    WeightSelection(source, example_inputs=IMAGES.to(dtype))(model, [(IMAGES.to(dtype), BATCH[0][1])])
    assert all(torch.equal(value, state(source)[key]) for key, value in state(model).items())
