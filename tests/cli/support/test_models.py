"""The model that options name."""

import sys
from pathlib import Path

import pytest

from ghn.cli.support.models import requested_model
from ghn.zoo import ModelRequest


@pytest.fixture(autouse=True)
def in_users_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(folder)])


def test_everything_is_passed_on() -> None:
    expected = ModelRequest(name="x", num_classes=3, image_size=4, meta=True)
    assert requested_model("x", num_classes=3, image_size=4, meta=True) == expected
    assert requested_model("x", num_classes=None, image_size=None) == ModelRequest(name="x")


def test_modules_in_the_current_folder_can_be_imported(folder: Path) -> None:
    for _ in range(2):
        requested_model("zoo:net", num_classes=None, image_size=None)
    assert sys.path.count(str(folder)) == 1
    assert sys.path[0] == str(folder)


@pytest.mark.parametrize("field", ["num_classes", "image_size"])
def test_impossible_sizes_are_told_by_their_flag(field: str) -> None:
    sizes = {"num_classes": 1, "image_size": 1, field: 0}
    with pytest.raises(ValueError, match=f"^--{field.replace('_', '-')} must be at least 1, not 0$"):
        requested_model("x", **sizes)  # type: ignore[arg-type]
