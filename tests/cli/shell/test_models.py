"""`ghn models`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue without loading libraries."""
    from ghn.zoo.catalogue import catalogue_file, installed

    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    head = "# " + " ".join(f"{library}={found}" for library, found in installed().items())
    catalogue_file().parent.mkdir()
    catalogue_file().write_text("\n".join([head, "resnet18", "resnet50", "timm:resnet50d", "hf:vit"]) + "\n")
    return home


def test_names_are_lines(ghn: Callable[..., Run]) -> None:
    assert ghn("models", "resnet") == Run(code=0, out="resnet18\nresnet50\ntimm:resnet50d\n", err="")
    assert ghn("models", "*").out.count("\n") == 4


def test_json_is_by_library(ghn: Callable[..., Run]) -> None:
    found = {"torchvision": [], "timm": ["timm:resnet50d"], "transformers": []}
    assert json.loads(ghn("models", "timm:*", "--json").out) == found


def test_without_a_pattern_there_are_counts(ghn: Callable[..., Run]) -> None:
    shown = ghn("models").out
    for part in ("torchvision", "timm", "transformers", "resnet18", "ghn models PATTERN", "file.py:factory"):
        assert part in shown


def test_the_nearest_are_named(refused: Callable[..., str]) -> None:
    assert "did you mean resnet" in refused("models", "resnt50")
