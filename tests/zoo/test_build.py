"""Models by name: every source, and every way of getting it wrong."""

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ghn.zoo.build import ModelRequest, build_model


@pytest.fixture(autouse=True)
def in_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection, any download fails."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def build(name: str, **options: Any) -> nn.Module:
    return build_model(ModelRequest(name=name, **options)).model


def refusal(name: str, **options: Any) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        build_model(ModelRequest(name=name, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def head(model: nn.Module) -> int:
    return list(model.parameters())[-1].shape[0]


# torchvision and timm


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        "torchvision:squeezenet1_1",
        "googlenet",  # warns about its initialisation unless told
        "ssdlite320_mobilenet_v3_large",  # would download the weights of its backbone
        "lraspp_mobilenet_v3_large",
        "timm:resnet10t",
        "timm:test_vit.r160_in1k",
    ],
)
def test_built_without_weights_or_warnings(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(parameter.numel() for parameter in build(name).parameters()) > 1000


def test_what_googlenet_keeps_is_initialised_as_googlenet_does() -> None:
    """Its linear layers are truncated normals of deviation 0.01; PyTorch's default would be uniform up to 1/32."""
    weight = dict(build("googlenet").named_parameters())["fc.weight"]
    assert weight.std().item() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("name", ["squeezenet1_1,dropout=0.25", "squeezenet1_1"])
def test_options_reach_the_constructor(name: str) -> None:
    dropout = next(module for module in build(name).modules() if isinstance(module, nn.Dropout))
    assert dropout.p == (0.25 if "," in name else 0.5)


@pytest.mark.parametrize("name", ["squeezenet1_1", "timm:resnet10t", "hf:resnet,depths=[1,1,1,1]", "zoo:net"])
def test_number_of_classes(name: str) -> None:
    assert head(build(name, num_classes=7)) == 7


@pytest.mark.parametrize(
    ("name", "parameter", "rows"),
    [
        ("vit_b_32", "encoder.pos_embedding", 5),
        ("timm:vit_tiny_patch16_224", "pos_embed", 17),
        ("hf:vit,num_hidden_layers=1", "embeddings.position_embeddings", 17),
    ],
)
def test_image_size_reaches_models_that_fix_it(name: str, parameter: str, rows: int) -> None:
    built = build_model(ModelRequest(name=name, image_size=64, meta=True))
    assert dict(built.model.named_parameters())[parameter].shape[1] == rows


def test_image_size_of_models_that_take_any() -> None:
    built = build_model(ModelRequest(name="squeezenet1_1", image_size=64, meta=True))
    (images,) = built.example_inputs
    assert images.shape == (2, 3, 64, 64)
    assert build_model(ModelRequest(name="squeezenet1_1", meta=True)).example_inputs is None


def test_image_size_of_a_tuple_option() -> None:
    model = build("maxvit_t", image_size=448, meta=True)
    assert model.blocks[0].layers[0].layers.window_attention.n_partitions != 0  # type: ignore[index, union-attr]


def test_meta_models_hold_no_numbers() -> None:
    assert all(parameter.is_meta for parameter in build("squeezenet1_1", meta=True).parameters())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("resnet5", ["torchvision has no model 'resnet5'", "did you mean resnet50", "timm:NAME"]),
        ("ResNet50", ["did you mean resnet50"]),
        ("qqqq", ["nothing is called like it", "121 models"]),
        ("", ["torchvision has no model ''"]),
        ("timm:resnet55", ["timm has no model 'resnet55'", "timm:resnet50"]),
        ("timm:hf-hub:user/model", ["timm has no model"]),
        ("hf:brt", ["transformers has no model 'brt'", "hf:bert"]),
        ("hf:BertConfig", ["transformers has no model 'BertConfig'"]),
        ("hf:google/vit-base", ["without download", "hf:vit"]),
        ("zoo:nat", ["zoo has no 'nat'", "did you mean net"]),
        ("zoo:", ["lacks a name after the colon"]),
        ("nowhere:net", ["no module 'nowhere'", "timm:NAME, hf:NAME or package.module:factory"]),
        ("zoo.deeper:net", ["no module 'zoo.deeper'"]),
        ("broken:net", ["importing broken for broken:net fails: No module named 'nothing_like_this'"]),
        ("zoo:raises", ["zoo:raises cannot be built: RuntimeError: no GPU"]),
        ("zoo:three", ["returns int", "torch.nn.Module"]),
        ("zoo:number", ["is int"]),
        ("zoo:ready,width=3", ["takes no options (width)"]),
        ("zoo:net,depth=3", ["zoo:net,depth=3 takes no option depth"]),
        ("squeezenet1_1,depth=3", ["takes no option depth"]),
        ("squeezenet1_1,depth", ["torchvision has no model 'squeezenet1_1,depth'", "did you mean squeezenet1_1"]),
        ("hf:bert,no_such_option=3,num_hidden_layers=x", ["cannot be built"]),
    ],
)
def test_refusals(name: str, parts: list[str]) -> None:
    line = refusal(name).replace(f"{len_of_torchvision()} models", "121 models")
    assert all(part in line for part in parts), line


def len_of_torchvision() -> int:
    from torchvision.models import list_models

    return len(list_models())


@pytest.mark.parametrize("option", ["num_classes", "image_size"])
def test_impossible_sizes(option: str) -> None:
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')} must be at least 1, not 0"):
        ModelRequest(name="x", **{option: 0})  # type: ignore[arg-type]


def test_image_size_that_the_model_refuses() -> None:
    assert "vit_b_32 cannot be built: AssertionError: Input shape indivisible" in refusal("vit_b_32", image_size=100)


def test_models_that_do_not_classify_take_no_number_of_classes() -> None:
    assert "raft_small takes no option num_classes" in refusal("raft_small", num_classes=3)
    assert "zoo:vector takes no option num_classes" in refusal("zoo:vector", num_classes=3)


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [("torchvision", "resnet18", "vision"), ("timm", "timm:resnet18", "vision"), ("transformers", "hf:bert", "text")],
)
def test_missing_libraries(library: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert refusal(name) == f'the model {name!r} needs {library}, which is not installed: pip install "ghn[{extra}]"'


# transformers


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


def test_transformers_that_classify() -> None:
    model = build("hf:bert,num_hidden_layers=1,hidden_size=12,vocab_size=20", num_classes=3)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert head(model) == 3
    assert "has no classifier" in refusal("hf:encodec", num_classes=3)


def test_models_that_do_not_fit_are_refused_before_they_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghn.zoo.build._available_memory", lambda: 10**6)
    line = refusal("hf:bert,num_hidden_layers=2")
    assert "needs 0 GB" in line
    assert "num_hidden_layers=2" in line
    build("hf:bert,num_hidden_layers=2", meta=True)


# What users write


def test_factories(folder: Path) -> None:
    assert head(build("zoo:net,width=3")) == 10
    assert head(build("zoo:holder.inner")) == 10
    assert isinstance(build("zoo:Tied"), nn.Module)
    assert build("zoo:ready") is sys.modules["zoo"].ready
    assert str(folder) in sys.path


def test_a_factory_may_give_example_inputs() -> None:
    built = build_model(ModelRequest(name="zoo:vector"))
    assert built.example_inputs.shape == (2, 5)


def test_image_size_of_a_factory() -> None:
    built = build_model(ModelRequest(name="zoo:sized", image_size=4))
    assert built.model(torch.zeros(2, 3, 4, 4)).shape == (2, 10)
    assert built.example_inputs[0].shape == (2, 3, 4, 4)
