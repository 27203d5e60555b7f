"""A small hypernetwork, models to name on the command line, and a way to run it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ghn.checkpoint import save_pretrained
from ghn.cli import main
from ghn.hypernet import GHN, GHNConfig

ZOO = '''
"""Models that a user might write."""

import time
import torch
from torch import nn


def net(num_classes=10, width=8):
    layers = nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def vector():
    return nn.Sequential(nn.Linear(5, 10)), torch.zeros(2, 5)


def sized(image_size=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 10))


def fixed(size=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, 10))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(10, 10), nn.Linear(10, 10)
        self.second.weight = self.first.weight
        self.register_buffer("corner", self.first.weight.detach()[:2, :2])
        self.register_buffer("columns", torch.arange(12.0).reshape(3, 4).t())

    def forward(self, x):
        return self.second(self.first(x)) + self.corner.sum()


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        raise RuntimeError("no such\\nthing")


class Extra(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 10)

    def forward(self, x):
        return self.linear(x)

    def get_extra_state(self):
        return "a text"

    def set_extra_state(self, state):
        assert state == "a text"


def empty():
    return nn.ReLU()


def raises():
    raise RuntimeError("no\\nGPU")


def three():
    return 3


def sleeps():
    time.sleep(60)


class holder:
    inner = staticmethod(net)


ready = net()
number = 4
'''


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: `zoo.py`, and `tiny`, a hypernetwork for 10 classes."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "zoo.py").write_text(ZOO)
    (folder / "broken.py").write_text("import nothing_like_this")
    config = GHNConfig(hidden=8, layers=1, heads=2, max_channels=8, spatial=5, num_classes=10)
    save_pretrained(GHN(config), folder / "tiny")
    return folder


@pytest.fixture
def ghn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """Runs `ghn` in the user's folder; TINY stands for its hypernetwork, OUT for an empty folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str) -> Run:
        replaced = [word.replace("TINY", str(folder / "tiny")).replace("OUT", str(tmp_path)) for word in words]
        code = main(replaced)
        captured = capsys.readouterr()
        return Run(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def refused(ghn: Callable[..., Run], tmp_path: Path) -> Callable[..., str]:
    """Runs `ghn`, which must refuse with one line and write nothing; gives the line without "error: "."""

    def run(*words: str, code: int = 2) -> str:
        result = ghn(*words)
        assert result.code == code
        assert result.out == ""
        assert result.err.startswith("error: ")
        assert result.err.count("\n") == 1, result.err
        assert not list(tmp_path.iterdir()), "something was written"
        return result.err.removeprefix("error: ").strip()

    return run
