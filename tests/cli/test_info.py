"""`ghn info`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from ghn.checkpoint.card import RELEASES
from tests.cli.conftest import Run

Ghn = Callable[..., Run]
Refused = Callable[..., str]


def test_info_lists_every_name(ghn: Ghn) -> None:
    result = ghn("info")
    assert result.code == 0
    assert all(name in result.out for name in RELEASES)
    assert max(map(len, result.out.splitlines())) <= 80
    assert {item["name"] for item in json.loads(ghn("info", "--json").out)} >= set(RELEASES)


def test_info_of_a_folder(ghn: Ghn, folder: Path) -> None:
    result = ghn("info", "TINY")
    assert result.code == 0
    assert "graphormer" in result.out
    total = sum(tensor.numel() for tensor in load_file(folder / "tiny" / "model.safetensors").values())
    described = json.loads(ghn("info", "TINY", "--json").out)
    assert described["config"]["hidden"] == 8
    assert described["total"] <= total
    assert f"{described['total']:,}" in result.out


def test_info_of_a_published_name_needs_no_network(ghn: Ghn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *args: pytest.fail("asked the network"))
    result = ghn("info", "ghn3xlm16")
    assert "654,365,184" in result.out
    assert "predict with it: ghn predict MODEL -o FILE --ghn ghn3xlm16" in result.out


@pytest.mark.parametrize(
    ("name", "part"), [("ghn3xlm61", "did you mean ghn3xlm16"), ("zoo.py", "no file of plain data")]
)
def test_info_refuses(name: str, part: str, refused: Refused) -> None:
    assert part in refused("info", name)
