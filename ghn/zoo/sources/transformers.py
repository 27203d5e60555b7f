"""Models of transformers, from the defaults of their configurations."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ghn.common.optional import require
from ghn.zoo.constructors import construct, example_images
from ghn.zoo.names import unknown
from ghn.zoo.request import BuiltModel, ModelRequest, Source

CLASSIFIERS = {
    "AutoModelForImageClassification": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING",
    "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "AutoModelForAudioClassification": "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING",
    "AutoModelForVideoClassification": "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING",
}
GENERAL = {
    "AutoModel": "MODEL_MAPPING",
    "AutoModelForPreTraining": "MODEL_FOR_PRETRAINING_MAPPING",
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "AutoModelForSeq2SeqLM": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "AutoBackbone": "MODEL_FOR_BACKBONE_MAPPING",
}


def build(request: ModelRequest, name: str, options: dict[str, Any]) -> BuiltModel:
    """A model by its type (`vit`) or class (`BertForMaskedLM`)."""
    transformers = require("transformers", "text", f"the model {request.name!r}")
    transformers.utils.logging.set_verbosity_error()
    if request.num_classes is not None:
        options = {**options, "num_labels": request.num_classes}
    config, builder = _config_and_builder(transformers, request, name, options)
    inputs = None
    if request.image_size is not None:
        if not hasattr(config, "image_size"):
            (images,) = example_images(request.image_size, getattr(config, "num_channels", 3))
            inputs = {"pixel_values": images}
        else:
            config.image_size = request.image_size
    if not request.meta:
        _check_memory(builder, config, request)
    return BuiltModel(model=construct(lambda: builder(config), {}, request), example_inputs=inputs)


def _config_and_builder(
    transformers: ModuleType, request: ModelRequest, name: str, options: dict[str, Any]
) -> tuple[Any, Callable[[Any], Any]]:
    """The configuration with the options, and what makes the model of it."""
    if name not in transformers.CONFIG_MAPPING:
        model_class = _model_class(transformers, name)
        return construct(model_class.config_class, options, request), model_class
    config = construct(lambda **given: transformers.AutoConfig.for_model(name, **given), options, request)
    family = GENERAL if request.num_classes is None else CLASSIFIERS
    auto = next((auto for auto, known in family.items() if type(config) in getattr(transformers, known)), None)
    if auto is None:
        raise ValueError(f"{request.name} has no {'model' if request.num_classes is None else 'classifier'} to build")
    return config, getattr(transformers, auto).from_config


def _model_class(transformers: ModuleType, name: str) -> Any:
    """The class of that name; transformers has several thousand names, most of which are no models."""
    found = getattr(transformers, name, None) if name.isidentifier() else None
    if isinstance(found, type) and getattr(found, "config_class", None) is not None:
        return found
    if "/" in name:
        raise ValueError(
            f"hf:{name} names weights on the model hub, but models are built here from a configuration, without "
            "download: give a model type such as hf:vit"
        )
    raise unknown("transformers", name, sorted(transformers.CONFIG_MAPPING), prefix="hf:")


def _check_memory(builder: Callable[..., Any], config: Any, request: ModelRequest) -> None:
    """Default configurations may be those of the largest models; the process would be killed without a word."""
    model = construct(lambda: builder(config), {}, ModelRequest(name=request.name, meta=True))
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    available = _available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"{request.name} needs {needed / 1e9:.0f} GB, of which {available / 1e9:.0f} are free: give a smaller "
            f"configuration, e.g. {request.name},num_hidden_layers=2"
        )


def _available_memory() -> int | None:
    """Bytes that can be had without swapping, where the system tells (Linux)."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(match[1]) * 1024 if match else None


def names() -> list[str]:
    """The types of models of transformers; names of their classes work as well."""
    return sorted(require("transformers", "text", "a list of its models").CONFIG_MAPPING)


SOURCE = Source(usage="hf:NAME", build=build, library="transformers", names=names)
