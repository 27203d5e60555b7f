"""What cannot be asked for."""

import pytest

from ghn.zoo import ModelRequest


@pytest.mark.parametrize("field", ["num_classes", "image_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_impossible_sizes(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field} must be at least 1, not {value}$"):
        ModelRequest(name="x", **{field: value})  # type: ignore[arg-type]


def test_least_sizes() -> None:
    assert ModelRequest(name="x", num_classes=1, image_size=1).num_classes == 1
