"""Models of timm, without weights."""

from __future__ import annotations

from typing import Any

from ghn.common.optional import require
from ghn.zoo.constructors import build_image_model
from ghn.zoo.names import unknown
from ghn.zoo.request import BuiltModel, ModelRequest, Source


def build(request: ModelRequest, name: str, options: dict[str, Any]) -> BuiltModel:
    """A model by its name in timm."""
    timm = require("timm", "vision", f"the model 'timm:{name}'")
    if not timm.is_model(name):
        raise unknown("timm", name, timm.list_models(), prefix="timm:")
    return build_image_model(lambda **given: timm.create_model(name, pretrained=False, **given), options, request)


def names() -> list[str]:
    """All models of timm."""
    return require("timm", "vision", "a list of its models").list_models()


SOURCE = Source(usage="timm:NAME", build=build, library="timm", names=names)
