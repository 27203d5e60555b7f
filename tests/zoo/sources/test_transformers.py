"""transformers: configurations, classes, classifiers, models that do not fit."""

import pytest

from ghn.zoo import ModelRequest, build_model
from tests.zoo.models import build, head, refusal


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "class_name"),
    [
        ("hf:bert,num_hidden_layers=1,hidden_size=12", "BertModel"),
        ("hf:BertForMaskedLM,num_hidden_layers=1,hidden_size=12", "BertForMaskedLM"),
        ("hf:vit,num_hidden_layers=1", "ViTModel"),
    ],
)
def test_transformers_are_built_from_configurations(name: str, class_name: str) -> None:
    assert type(build(name)).__name__ == class_name


def test_image_size_reaches_models_that_fix_it() -> None:
    model = build("hf:vit,num_hidden_layers=1", image_size=64, meta=True)
    assert dict(model.named_parameters())["embeddings.position_embeddings"].shape[1] == 17


def test_image_size_of_models_that_take_any() -> None:
    built = build_model(ModelRequest(name="hf:resnet,num_channels=1", image_size=64, meta=True))
    assert built.example_inputs["pixel_values"].shape == (2, 1, 64, 64)


def test_transformers_that_classify() -> None:
    model = build("hf:bert,num_hidden_layers=1,hidden_size=12,vocab_size=20", num_classes=3)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert head(model) == 3
    assert "has no classifier" in refusal("hf:encodec", num_classes=3)


def test_models_that_do_not_fit_are_refused_before_they_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.zoo.sources.transformers._available_memory", lambda: 10**6)
    line = refusal("hf:bert,num_hidden_layers=2")
    assert "needs 0 GB" in line
    assert "num_hidden_layers=2" in line
    build("hf:bert,num_hidden_layers=2", meta=True)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hf:brt", ["transformers has no model 'brt'", "hf:bert"]),
        ("hf:BertConfig", ["transformers has no model 'BertConfig'"]),
        ("hf:google/vit-base", ["without download", "hf:vit"]),
        ("hf:bert,no_such_option=3,num_hidden_layers=x", ["cannot be built"]),
    ],
)
def test_refusals(name: str, parts: list[str]) -> None:
    line = refusal(name)
    assert all(part in line for part in parts), line
