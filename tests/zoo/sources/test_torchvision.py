"""torchvision: no weights, no warnings, sizes and options."""

import warnings

import pytest
from torch import nn
from torchvision.models import list_models

from ghn.zoo import ModelRequest, build_model
from tests.zoo.models import build, refusal


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1",
        "torchvision:squeezenet1_1",
        "googlenet",  # warns about its initialisation unless told
        "ssdlite320_mobilenet_v3_large",  # would download the weights of its backbone
        "lraspp_mobilenet_v3_large",
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


def test_image_size_reaches_models_that_fix_it() -> None:
    model = build("vit_b_32", image_size=64, meta=True)
    assert dict(model.named_parameters())["encoder.pos_embedding"].shape[1] == 5


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
        ("ResNet50", ["did you mean resnet50"]),
        ("qqqq", ["nothing is called like it", f"({len(list_models())} models)"]),
        ("squeezenet1_1,depth=3", ["squeezenet1_1,depth=3 takes no option depth"]),
        ("squeezenet1_1,depth", ["torchvision has no model 'squeezenet1_1,depth'", "did you mean squeezenet1_1"]),
        ("squeezenet1_1,weights=DEFAULT", ["cannot be built: TypeError", "multiple values", "'weights'"]),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_refusals(name: str, parts: list[str]) -> None:
    line = refusal(name)
    assert all(part in line for part in parts), line


def test_sizes_that_the_model_refuses() -> None:
    assert "vit_b_32 cannot be built: AssertionError: Input shape indivisible" in refusal("vit_b_32", image_size=100)
    assert "raft_small takes no option num_classes" in refusal("raft_small", num_classes=3)
