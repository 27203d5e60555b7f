"""Devices by name."""

import pytest
import torch

from ghn.common.devices import chosen_device


def cards(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("name", "count", "chosen"),
    [
        (None, 0, "cpu"),
        (None, 2, "cuda"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_devices_that_are_there(name: str | None, count: int, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cards(count, monkeypatch)
    assert chosen_device(name) == chosen


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("cuda", 0, "device cuda: PyTorch finds no CUDA device; choose another, or cpu"),
        ("cuda:0", 0, "device cuda:0: PyTorch finds no CUDA device; choose another, or cpu"),
        ("cuda:1", 1, "device cuda:1: PyTorch finds only cuda:0; choose another, or cpu"),
        ("cuda:7", 4, "device cuda:7: PyTorch finds only cuda:0 to cuda:3; choose another, or cpu"),
        ("gpu", 1, "device must be cpu, cuda or cuda:N, not 'gpu'"),
        ("cuda:", 1, "device must be cpu, cuda or cuda:N, not 'cuda:'"),
        ("cuda:-1", 1, "device must be cpu, cuda or cuda:N, not 'cuda:-1'"),
        ("", 1, "device must be cpu, cuda or cuda:N, not ''"),
    ],
)
def test_devices_that_are_not(name: str, count: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cards(count, monkeypatch)
    with pytest.raises(ValueError, match="device") as caught:
        chosen_device(name)
    assert str(caught.value) == message
    with pytest.raises(ValueError, match=r"^--device "):
        chosen_device(name, "--device")
