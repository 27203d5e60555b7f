"""Building by name, and what refuses to be built."""

from typing import Any

import pytest
from torch import nn

from ghn.zoo import ModelRequest, build_model


def build(name: str, **options: Any) -> nn.Module:
    return build_model(ModelRequest(name=name, **options)).model


def refusal(name: str, **options: Any) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        build_model(ModelRequest(name=name, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def head(model: nn.Module) -> int:
    """Outputs of the last layer."""
    return list(model.parameters())[-1].shape[0]
