"""Modules of nodes: what is known from names, and what the data flow suggests."""

import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.analysis.explorer.hierarchy import modules_of
from ghn.graph import ComputationalGraph


def places(model: nn.Module, op: str, example: Tensor | None = None) -> list[str]:
    """Modules of the nodes of a primitive, in their order."""
    graph = ghn.trace(model, example)
    found = modules_of(graph)
    return [".".join(place) for node, place in zip(graph.nodes, found, strict=True) if node.op == op]


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, width: int, down: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.down = nn.Conv2d(width, width, 1, bias=False) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(torch.relu(self.conv1(x))) + self.down(x)


class Branches(nn.Module):
    """Two branches that are concatenated; one begins with a pooling that no module is for."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(4, 4, 1, bias=False)
        self.right = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False))
        self.pooled = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(nn.functional.avg_pool2d(x, 3, 1, 1))
        return torch.cat([self.left(x), self.right(x), pooled], 1)


class Net(nn.Module):
    """A stem, a body and a head."""

    def __init__(self, *body: nn.Module, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, bias=False)
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(nn.functional.max_pool2d(self.stem(x), 2)).mean((2, 3)))


def test_what_has_parameters_is_where_they_are() -> None:
    model = Net(Block(4))
    assert places(model, "conv") == ["stem", "body.0.conv1", "body.0.conv2", "head"]
    assert places(model, "bias") == ["head"]


@pytest.mark.parametrize("down", [(False, False), (True, False), (False, True), (True, True)])
def test_a_sum_ends_its_residual_block(down: tuple[bool, bool]) -> None:
    assert places(Net(*(Block(4, with_down) for with_down in down)), "sum") == ["body.0", "body.1"]


def test_branches_begin_and_meet_in_their_module() -> None:
    model = Net(Branches(), nn.Conv2d(12, 4, 1), Block(4))
    assert places(model, "concat") == ["body.0"]
    assert places(model, "avg_pool") == ["body.0"]


def test_what_is_between_modules_is_outside_them() -> None:
    model = Net(Block(4), Block(4))
    assert places(model, "max_pool") == [""]
    assert places(model, "glob_avg") == [""]
    assert places(model, "input") == [""]


def test_attention_is_in_its_module() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Linear(8, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    assert places(model, "msa", torch.zeros(2, 5, 8)) == ["1.layers.0.self_attn", "1.layers.1.self_attn"]
    assert places(model, "sum", torch.zeros(2, 5, 8)) == ["1.layers.0", "1.layers.0", "1.layers.1", "1.layers.1"]


@pytest.mark.parametrize(
    ("name", "sums"),
    [
        (
            "resnet50",
            [f"layer{stage}.{block}" for stage, count in enumerate((3, 4, 6, 3), 1) for block in range(count)],
        ),
        ("vit_b_16", ["encoder", *(f"encoder.layers.encoder_layer_{layer}" for layer in range(12) for _ in range(2))]),
    ],
)
def test_sums_of_known_models_are_where_these_compute_them(name: str, sums: list[str]) -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        assert places(models.get_model(name), "sum") == sums


def test_sums_of_efficientnet_end_its_blocks() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        model = models.efficientnet_v2_s()
    blocks = [
        name
        for name, module in model.named_modules()
        if type(module).__name__ in ("FusedMBConv", "MBConv")
        if module.use_res_connect
    ]
    assert places(model, "sum") == blocks
    gates = [name for name, module in model.named_modules() if type(module).__name__ == "SqueezeExcitation"]
    assert places(model, "cse") == gates


def test_concatenations_of_inception() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        model = models.inception_v3(init_weights=False)
    blocks = [name for name, _ in model.named_children() if name.startswith("Mixed")]
    # Two of them have branches that divide and are concatenated once more.
    assert list(dict.fromkeys(places(model, "concat"))) == blocks
    assert set(places(model, "avg_pool")) <= {*blocks, ""}


def test_a_graph_of_one_node() -> None:
    import numpy as np

    assert modules_of(ComputationalGraph((ghn.Node("input"),), np.zeros((0, 2), dtype=np.int64))) == [()]
