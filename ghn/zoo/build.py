"""From a model's name to the model itself: which source builds it.

To add a source, write `ghn/zoo/sources/<name>.py` with a `SOURCE`, and add a line to `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ghn.common.files import digest_of_file
from ghn.zoo.names import split_options
from ghn.zoo.request import BuiltModel, ModelRequest, Source, UnknownNameError
from ghn.zoo.sources import factories, timm, torchvision, transformers

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "torchvision": torchvision.SOURCE,
        "timm": timm.SOURCE,
        "hf": transformers.SOURCE,
    }
)
"""What stands before the colon of a name, and the source it means."""

WEIGHT_FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".tar")
"""Endings of files that people give where a model is wanted."""

BARE, OTHER = torchvision.SOURCE, factories.SOURCE
"""The sources of names without a colon, and with anything else before it."""


def build_model(request: ModelRequest) -> BuiltModel:
    """Build a model from its name.

    Args:
        request: Which one.

    Raises:
        ValueError: In one line, if there is no such model (naming the nearest ones), a library is missing (with the
            command that installs it), or its constructor fails.
    """
    name, options = split_options(request.name)
    prefix, colon, rest = name.partition(":")
    if colon and prefix in SOURCES:
        return SOURCES[prefix].build(request, rest, options)
    try:
        return (OTHER if colon else BARE).build(request, name, options)
    except UnknownNameError as error:
        # Which source was meant is not known.
        usages = [source.usage for source in SOURCES.values()]
        meant = "" if colon else _with_colon(name)
        raise UnknownNameError(f"{error}; {meant}models are named {', '.join(usages)} or {OTHER.usage}") from None


def digest(name: str) -> str:
    """Of the file in which a user's function or class of that name stands (see `build_model`): tells its states apart.

    Args:
        name: Of a model, with its options.

    Returns:
        16 hexadecimal digits; empty where there is no such file, as of models of libraries.
    """
    name, _ = split_options(name)
    prefix, colon, _ = name.partition(":")
    file = None if not colon or prefix in SOURCES else factories.source_file(name)
    return "" if file is None or not file.is_file() else digest_of_file(file)


def _with_colon(name: str) -> str:
    """What a name of a function or file, without the colon between, may be meant to be."""
    if name.lower().endswith(WEIGHT_FILES):
        return "a file of weights says nothing of the architecture, which is wanted here; "
    if name.endswith(".py"):
        return f"for a function of a file write {name}:FUNCTION; "
    module, _, function = name.rpartition(".")
    return f"for a function of a module write {module}:{function}; " if module.strip(".") and function else ""
