"""What a page knows."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ghn
from ghn.analysis.explorer.document import document
from ghn.analysis.explorer.values import StartValues, own_values, values_of
from ghn.draw.labels import COLOURS
from ghn.graph import ComputationalGraph


class Net(nn.Module):
    """A body of two layers, and a table that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.unused = nn.Parameter(torch.zeros(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def made() -> dict[str, Any]:
    model = Net()
    graph = ghn.trace(model, torch.zeros(2, 4))
    other = StartValues(
        name="other",
        values={"body.0.weight": values_of(torch.ones(4, 4))},
        kept={"body.0.bias": "a <reason>", "unused": "a <reason>"},
        notes=("a note",),
    )
    return document(graph, model, [own_values(model), other], title="a net", depth=2)


def test_nodes_have_their_modules_and_parameters() -> None:
    page = made()
    assert [(node["op"], node["shape"]) for node in page["nodes"]] == [
        ("input", ""),
        ("conv", "4×4"),
        ("bias", "4"),
        ("conv", "2×4"),
    ]
    names = [module["name"] for module in page["modules"]]
    assert names == ["", "body", "0", "2"]
    assert [module["parent"] for module in page["modules"]] == [-1, 0, 1, 1]
    assert [module["kind"] for module in page["modules"]] == ["Net", "Sequential", "Linear", "Linear"]
    parameters = page["parameters"]
    assert [(entry["name"], entry["node"], entry["elements"]) for entry in parameters] == [
        ("unused", -1, 6),
        ("body.0.weight", 1, 16),
        ("body.0.bias", 2, 4),
        ("body.2.weight", 3, 8),
    ]
    assert page["edges"] == [[0, 1], [1, 2], [2, 3]]
    assert page["colours"] == COLOURS


def test_starts_say_what_was_kept_and_why() -> None:
    page = made()
    own, other = page["starts"]
    assert own["kept"] == [-1, -1, -1, -1]
    reasons = page["reasons"]
    assert [number if number < 0 else reasons[number] for number in other["kept"]] == [
        "a <reason>",
        -1,
        "a <reason>",
        -1,
    ]
    assert other["values"][1] == [4.0, 1.0, 0.0, 1.0, 1.0, 0, []]
    assert other["values"][2] is None
    ((number, reason),) = page["untraced"]
    assert number == 0
    assert "lead" in reasons[reason] or reasons[reason]


def test_it_is_json_whatever_the_numbers_are() -> None:
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, float("nan"))
    graph = ghn.trace(model, torch.zeros(1, 2))
    page = document(graph, model, [own_values(model)], title="\ud800 \x1b[31m")
    assert json.loads(json.dumps(page, allow_nan=False)) == page
    assert page["title"] == "\\ud800 \\x1b[31m"


@pytest.mark.parametrize("names", [("deep.er.weight",), ("a.weight", "a.b.weight")])
def test_names_that_no_module_has(names: tuple[str, ...]) -> None:
    """Graphs come from files, too; what is no parameter of the model is no parameter of the page."""
    nodes = (ghn.Node("input"), ghn.Node("conv", names, (2, 2)))
    page = document(ComputationalGraph(nodes, np.array([[0, 1]])), nn.Linear(2, 2), [], title="x")
    assert page["nodes"][1]["parameters"] == []
    assert page["modules"][page["nodes"][1]["module"]]["kind"] == ""
