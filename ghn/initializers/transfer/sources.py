"""Trained models by name: an architecture with a file of its weights, or one whose library has weights for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.weights import read_weights
from ghn.common.optional import require
from ghn.initializers.transfer.weights import load_weights
from ghn.zoo import ModelRequest, build_model
from ghn.zoo.names import split_options, unknown
from ghn.zoo.request import UnknownNameError

SIZES = {"num_classes": "num_classes", "image_size": "image_size", "img_size": "image_size"}
"""Options of a model's name that the zoo itself understands."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model with its trained weights, and what to trace it with (None: what tracing finds by itself)."""

    model: nn.Module
    example_inputs: Any = None


def trained_model(text: str) -> TrainedModel:
    """The model of a text.

    Args:
        text: `MODEL@FILE`, a name of `ghn.zoo` with its options and a file of its weights (see `read_weights`); where
            only the number of classes is another one in the file, the model gets that. Or `MODEL` alone: a name of
            torchvision or timm (`timm:resnet18.a1_in1k`), whose weights the library fetches, or a factory of the
            user's, which gives a trained model.

    Raises:
        ValueError: In one line, if there is no such model (naming the nearest ones), or no such weights of it.
    """
    name, at, file = text.rpartition("@")
    if not at:
        return _pretrained(text)
    weights = read_weights(file)
    request = _request(name)
    trained, kept = _with_weights(request, weights, file)
    if kept:
        classes = len(weights[kept[0]])
        trained, kept = _with_weights(replace(request, num_classes=classes), weights, file)
        if kept:
            raise CheckpointError(f"{file} has a head of {classes} classes, with which {name} cannot be built")
    return trained


def _request(name: str) -> ModelRequest:
    """What a name with options asks of the zoo, which traces a model at the size it is built for."""
    parts = re.split(r",(?=[A-Za-z_]\w*=)", name)
    _, options = split_options(name)
    sizes: dict[str, Any] = {SIZES[key]: value for key, value in options.items() if key in SIZES and type(value) is int}
    rest = [part for part in parts[1:] if part.partition("=")[0] not in SIZES]
    return ModelRequest(name=",".join([parts[0], *rest]), **sizes)


def _with_weights(request: ModelRequest, weights: Mapping[str, Tensor], file: str) -> tuple[TrainedModel, list[str]]:
    """A model with a file's weights; names of those that did not fit, the head's."""
    built = build_model(request)
    _, kept = load_weights(built.model, weights, file, built.example_inputs)
    trained = TrainedModel(model=built.model.eval(), example_inputs=built.example_inputs)
    return trained, [key for key in kept if key in weights]


def _pretrained(text: str) -> TrainedModel:
    """A model with the weights that its library has for it, fetched by that library."""
    name, options = split_options(text)
    prefix, colon, rest = name.partition(":")
    if prefix == "timm" and colon:
        return _fetched(text, *_timm(rest), options)
    if prefix == "hf" and colon:
        raise ValueError(f"weights of {text} are taken from a file: {text}@FILE")
    if colon:
        built = build_model(_request(text))
        return TrainedModel(model=built.model.eval(), example_inputs=built.example_inputs)
    return _fetched(text, *_torchvision(name), options)


def _timm(name: str) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    timm = require("timm", "vision", f"the model 'timm:{name}'")
    if not timm.is_model(name):
        raise unknown("timm", name, timm.list_models(), prefix="timm:")
    return timm.create_model, {"model_name": name, "pretrained": True}


def _torchvision(name: str) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    models = require("torchvision", "vision", f"the model {name!r}").models
    names = models.list_models()
    if name not in names:
        hint = "a trained model is MODEL@FILE, or MODEL of torchvision or timm:MODEL"
        raise UnknownNameError(f"{unknown('torchvision', name, names)}; {hint}")
    return models.get_model, {"name": name, "weights": "DEFAULT"}


def _fetched(
    text: str, builder: Callable[..., nn.Module], arguments: dict[str, Any], options: dict[str, Any]
) -> TrainedModel:
    try:
        model = builder(**arguments, **options)
    except Exception as error:
        # Whatever a library raises where it has no weights, no network or no room for them.
        cause = " ".join(str(error).split())[:300]
        raise ValueError(
            f"the weights of {text} cannot be had ({type(error).__name__}: {cause}); take a file of them: {text}@FILE"
        ) from error
    return TrainedModel(model=model.eval())
