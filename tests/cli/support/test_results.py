"""What `--json` prints is the result alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ghn.cli.support.results import print_json, results_apart
from tests.cli.conftest import Run

NOISY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        print("a model that prints")
        self.layer = nn.Conv2d(3, classes, 3)

    def forward(self, images):
        print("and prints")
        return self.layer(images).mean((2, 3))

def build(num_classes=10):
    return Net(num_classes)
"""


def test_results_go_to_stdout_and_all_else_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with results_apart():
        print("noise")
        print_json({"a": Path("b")}, default=str)
    assert sys.stdout is before
    print_json([1])
    captured = capsys.readouterr()
    assert captured.err == "noise\n"
    assert captured.out == '{\n  "a": "b"\n}\n[\n  1\n]\n'


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "noisy:build", "--ghn", "TINY", "-o", "OUT/x.safetensors"],
        ["graph", "noisy:build", "-o", "OUT/x.svg"],
        [
            "finetune",
            "noisy:build",
            "--data",
            "digits",
            "--steps",
            "1",
            "--learning-rates",
            "0.1",
            "--test-images",
            "9",
        ],
    ],
)
def test_models_that_print_do_not_spoil_json(words: list[str], ghn: Callable[..., Run], folder: Path) -> None:
    (folder / "noisy.py").write_text(NOISY)
    result = ghn(*words, "--json", "--quiet")
    assert result.code == 0, result.err
    assert json.loads(result.out)
    assert "a model that prints" in result.err


@pytest.mark.parametrize(
    "words", [["info"], ["train"], ["experiment"], ["compare", "--list"], ["deepnets"], ["models", "resnet"]]
)
def test_every_listing_has_json(words: list[str], ghn: Callable[..., Run]) -> None:
    result = ghn(*words, "--json")
    assert (result.code, bool(json.loads(result.out))) == (0, True)
