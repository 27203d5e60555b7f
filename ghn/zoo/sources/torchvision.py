"""Models of torchvision, without weights."""

from __future__ import annotations

import inspect
from typing import Any

from ghn.common.optional import require
from ghn.zoo.constructors import build_image_model
from ghn.zoo.names import unknown
from ghn.zoo.request import BuiltModel, ModelRequest, Source


def build(request: ModelRequest, name: str, options: dict[str, Any]) -> BuiltModel:
    """A model by the name of its builder."""
    models = require("torchvision", "vision", f"the model {name!r}").models
    names = models.list_models()
    if name not in names:
        raise unknown("torchvision", name, names)
    builder = models.get_model_builder(name)
    # Detectors download weights of their backbone unless told.
    weights = [option for option in inspect.signature(builder).parameters if option.startswith("weights")]
    return build_image_model(lambda **given: builder(**dict.fromkeys(weights), **given), options, request)


def names() -> list[str]:
    """All models of torchvision."""
    return require("torchvision", "vision", "a list of its models").models.list_models()


SOURCE = Source(usage="NAME (torchvision)", build=build, library="torchvision", names=names)
