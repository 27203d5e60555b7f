"""From a model's name on the command line to the model itself, built from its definition: nothing is downloaded.

    resnet50                     torchvision
    timm:resnet50d               timm
    hf:vit, hf:BertForMaskedLM   transformers: a model type or a class, with the configuration's defaults
    package.module:factory       any function, class or module object; the current folder is on the path

Options of the constructor (of the configuration, for transformers) follow the name: `hf:bert,num_hidden_layers=2`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

SIZE_OPTIONS = ("image_size", "img_size", "input_size")
"""What constructors call the side of their images."""

BATCH = 2
"""Images to trace with; batch normalisation refuses a single one."""

HF_CLASSIFIERS = {
    "AutoModelForImageClassification": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING",
    "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "AutoModelForAudioClassification": "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING",
    "AutoModelForVideoClassification": "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING",
}
HF_GENERAL = {
    "AutoModel": "MODEL_MAPPING",
    "AutoModelForPreTraining": "MODEL_FOR_PRETRAINING_MAPPING",
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "AutoModelForSeq2SeqLM": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "AutoBackbone": "MODEL_FOR_BACKBONE_MAPPING",
}


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Which model to build.

    Attributes:
        name: As on the command line (see the top of this file).
        num_classes: Outputs of its classification head; by default its own.
        image_size: Side of its square images in pixels; by default its own.
        meta: Build it without numbers where its constructor allows: enough to trace it, at any size.
    """

    name: str
    num_classes: int | None = None
    image_size: int | None = None
    meta: bool = False

    def __post_init__(self) -> None:
        for option in ("num_classes", "image_size"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise ValueError(f"--{option.replace('_', '-')} must be at least 1, not {value}")


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model with its own initialisation, and what to trace it with (None: what tracing finds by itself)."""

    model: nn.Module
    example_inputs: Any = None


def build_model(request: ModelRequest) -> BuiltModel:
    """Build a model from its name.

    Args:
        request: Which one.

    Raises:
        ValueError: In one line, if there is no such model (naming the nearest ones), a library is missing (with the
            command that installs it), or its constructor fails.
    """
    name, options = _split_options(request.name)
    source, colon, rest = name.partition(":")
    if not colon or source == "torchvision":
        builder: Callable[..., nn.Module] = _torchvision_builder(rest if colon else name)
    elif source == "timm":
        builder = _timm_builder(rest)
    elif source == "hf":
        return _build_transformers(request, rest, options)
    else:
        return _build_factory(request, source, rest, options)
    if request.num_classes is not None:
        options["num_classes"] = request.num_classes
    if request.image_size is not None:
        options |= _size_option(builder, options, request)
    return BuiltModel(model=_construct(builder, options, request), example_inputs=_images(request.image_size))


def _split_options(text: str) -> tuple[str, dict[str, Any]]:
    """`name,key=value,…` in its parts; values are JSON where they can be read as such, else text."""
    name, *assignments = re.split(r",(?=[A-Za-z_]\w*=)", text)
    options: dict[str, Any] = {}
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        try:
            options[key] = json.loads(value)
        except json.JSONDecodeError:
            options[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return name, options


def require(library: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional library.

    Args:
        library: Its name.
        extra: The extra of this package that installs it.
        purpose: What needs it, for the message.

    Raises:
        ValueError: In one line with the command that installs it, if it is missing.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ValueError(f'{purpose} needs {library}, which is not installed: pip install "ghn[{extra}]"') from None


def _unknown(kind: str, name: str, names: Sequence[str], prefix: str = "") -> ValueError:
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(prefix + other for other in near)}?" if near else "nothing is called like it"
    others = "" if prefix else "; other libraries: timm:NAME, hf:NAME, package.module:factory"
    return ValueError(f"{kind} has no model {name!r}: {hint} ({len(names)} models{others})")


def _torchvision_builder(name: str) -> Callable[..., nn.Module]:
    models = require("torchvision", "vision", f"the model {name!r}").models
    names = models.list_models()
    if name not in names:
        raise _unknown("torchvision", name, names)
    builder = models.get_model_builder(name)
    weights = [option for option in inspect.signature(builder).parameters if option.startswith("weights")]
    return lambda **options: builder(**dict.fromkeys(weights), **options)


def _timm_builder(name: str) -> Callable[..., nn.Module]:
    timm = require("timm", "vision", f"the model 'timm:{name}'")
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models(), prefix="timm:")
    return lambda **options: timm.create_model(name, pretrained=False, **options)


def _size_option(
    builder: Callable[..., nn.Module], options: Mapping[str, Any], request: ModelRequest
) -> dict[str, Any]:
    """How the constructor wants the image size, if it wants it; convolutional networks take any."""
    probe = _construct(builder, options, replace(request, meta=True))
    accepted = inspect.signature(type(probe).__init__).parameters
    option = next((option for option in SIZE_OPTIONS if option in accepted), None)
    if option is None:
        return {}
    return {option: (request.image_size,) * 2 if option == "input_size" else request.image_size}


def _images(size: int | None, channels: int = 3) -> Any:
    import torch

    return None if size is None else (torch.zeros(BATCH, channels, size, size, device="meta"),)


def _construct(builder: Callable[..., Any], options: Mapping[str, Any], request: ModelRequest) -> Any:
    """Call a constructor; what it raises becomes one line."""
    import torch

    if request.meta:
        try:
            with torch.device("meta"), _quiet():
                return builder(**options)
        except Exception:
            # Some constructors compute with numbers that the meta device does not have: build it for real.
            pass
    try:
        with _quiet():
            return builder(**options)
    except Exception as error:
        if isinstance(error, TypeError) and (match := re.search(r"unexpected keyword argument '(\w+)'", str(error))):
            raise ValueError(f"{request.name} takes no option {match[1]}; leave it out") from error
        cause = " ".join(str(error).split())
        raise ValueError(f"{request.name} cannot be built: {type(error).__name__}: {cause}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Constructors warn of their own future defaults, which is nothing a user of the command could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# transformers


def _build_transformers(request: ModelRequest, name: str, options: dict[str, Any]) -> BuiltModel:
    transformers = require("transformers", "text", f"the model {request.name!r}")
    transformers.utils.logging.set_verbosity_error()
    if request.num_classes is not None:
        options["num_labels"] = request.num_classes
    if name in transformers.CONFIG_MAPPING:
        config = _construct(lambda **given: transformers.AutoConfig.for_model(name, **given), options, request)
        family = HF_GENERAL if request.num_classes is None else HF_CLASSIFIERS
        auto = next((auto for auto, known in family.items() if type(config) in getattr(transformers, known)), None)
        if auto is None:
            raise ValueError(
                f"{request.name} has no {'model' if request.num_classes is None else 'classifier'} to build"
            )
        builder = getattr(transformers, auto).from_config
    else:
        model_class = _transformers_class(transformers, name)
        config = _construct(model_class.config_class, options, request)
        builder = model_class
    inputs = None
    if request.image_size is not None:
        if not hasattr(config, "image_size"):
            inputs = {"pixel_values": _images(request.image_size, getattr(config, "num_channels", 3))[0]}
        else:
            config.image_size = request.image_size
    if not request.meta:
        _check_memory(builder, config, request)
    return BuiltModel(model=_construct(lambda: builder(config), {}, request), example_inputs=inputs)


def _transformers_class(transformers: ModuleType, name: str) -> Any:
    """The class of that name; transformers has several thousand names, most of which are no models."""
    found = getattr(transformers, name, None) if name.isidentifier() else None
    if isinstance(found, type) and getattr(found, "config_class", None) is not None:
        return found
    if "/" in name:
        raise ValueError(
            f"hf:{name} names weights on the model hub, but models are built here from a configuration, without "
            "download: give a model type such as hf:vit"
        )
    raise _unknown("transformers", name, sorted(transformers.CONFIG_MAPPING), prefix="hf:")


def _check_memory(builder: Callable[..., Any], config: Any, request: ModelRequest) -> None:
    """Default configurations may be those of the largest models; the process would be killed without a word."""
    model = _construct(lambda: builder(config), {}, ModelRequest(name=request.name, meta=True))
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


# Anything else


def _build_factory(request: ModelRequest, module: str, attribute: str, options: dict[str, Any]) -> BuiltModel:
    """A module object, or what a function or class returns: a model, or a pair of a model and example inputs."""
    from torch import nn

    found = _find_factory(request.name, module, attribute)
    if request.num_classes is not None:
        options["num_classes"] = request.num_classes
    if request.image_size is not None and not isinstance(found, nn.Module):
        accepted = inspect.signature(found).parameters
        options |= {option: request.image_size for option in SIZE_OPTIONS if option in accepted}
    inputs = _images(request.image_size)
    if isinstance(found, nn.Module):
        if options:
            raise ValueError(f"{request.name} is a module already and takes no options ({', '.join(options)})")
        return BuiltModel(model=found, example_inputs=inputs)
    built = _construct(found, options, request)
    if isinstance(built, tuple) and len(built) == 2:
        built, own_inputs = built
        inputs = own_inputs if inputs is None else inputs
    if not isinstance(built, nn.Module):
        raise ValueError(
            f"{request.name} returns {type(built).__name__}; it must return a torch.nn.Module, or a pair of one and "
            "its example inputs"
        )
    return BuiltModel(model=built, example_inputs=inputs)


def _find_factory(name: str, module: str, attribute: str) -> Any:
    if not attribute:
        raise ValueError(f"{name!r} lacks a name after the colon: write package.module:factory")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ValueError(f"importing {module} for {name} fails: {error}") from error
        raise ValueError(
            f"there is no module {module!r} (looked in {folder} and the Python path); models are named NAME "
            "(torchvision), timm:NAME, hf:NAME or package.module:factory"
        ) from None
    except Exception as error:
        raise ValueError(f"importing {module} for {name} fails: {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [other for other in dir(found) if not other.startswith("_")]
            near = difflib.get_close_matches(part, names, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"{module} has no {attribute!r}{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"{name} is {type(found).__name__}; it must be a function, a class or a torch.nn.Module")
    return found
