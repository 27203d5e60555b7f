"""Calling a constructor: quietly, on the meta device where asked for, at the image size it is to have."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ghn.common.memory import is_out_of_memory
from ghn.zoo.names import near
from ghn.zoo.request import BuiltModel, ModelRequest

if TYPE_CHECKING:
    from torch import nn

SIZE_OPTIONS = ("image_size", "img_size", "input_size")
"""What constructors call the side of their images."""

MOST_NAMED = 8
"""Options or functions that a message names at most."""

BATCH = 2
"""Images to trace with; batch normalisation refuses a single one."""


def build_image_model(
    builder: Callable[..., nn.Module], options: Mapping[str, Any], request: ModelRequest
) -> BuiltModel:
    """A model of images from a library in which `num_classes` has one meaning."""
    options = dict(options)
    if request.num_classes is not None:
        options["num_classes"] = request.num_classes
    if request.image_size is not None:
        options |= _size_option(builder, options, request)
    return BuiltModel(model=construct(builder, options, request), example_inputs=example_images(request.image_size))


def example_images(size: int | None, channels: int = 3) -> Any:
    """Inputs to trace with at that size; None for what tracing finds by itself."""
    import torch

    return None if size is None else (torch.zeros(BATCH, channels, size, size, device="meta"),)


def construct(builder: Callable[..., Any], options: Mapping[str, Any], request: ModelRequest) -> Any:
    """Call a constructor.

    Raises:
        ValueError: In one line, for whatever it raises.
    """
    import torch

    if request.meta:
        try:
            with torch.device("meta"), _quiet():
                return builder(**options)
        except (Exception, SystemExit):
            # Some constructors compute with numbers that the meta device does not have: build it for real.
            pass
    try:
        with _quiet():
            return builder(**options)
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise ValueError(f"there is not enough memory to build {request.name}") from error
        if isinstance(error, TypeError) and (match := re.search(r"unexpected keyword argument '(\w+)'", str(error))):
            raise ValueError(
                f"{request.name} takes no option {match[1]}; {_taken(builder, match[1]) or 'leave it out'}"
            ) from error
        cause = " ".join(str(error).split())
        raise ValueError(f"{request.name} cannot be built: {type(error).__name__}: {cause}") from error


def _taken(builder: Callable[..., Any], missed: str) -> str:
    """Which options there are, for a message that one is not."""
    try:
        parameters = inspect.signature(builder).parameters.values()
    except (TypeError, ValueError):  # of what is written in C
        return ""
    names = [it.name for it in parameters if it.kind in (it.POSITIONAL_OR_KEYWORD, it.KEYWORD_ONLY)]
    return near(missed, names) or (f"it takes {', '.join(names)}" if 0 < len(names) <= MOST_NAMED else "")


def _size_option(
    builder: Callable[..., nn.Module], options: Mapping[str, Any], request: ModelRequest
) -> dict[str, Any]:
    """How the constructor wants the image size, if it wants it; convolutional networks take any."""
    probe = construct(builder, options, replace(request, meta=True))
    accepted = inspect.signature(type(probe).__init__).parameters
    option = next((option for option in SIZE_OPTIONS if option in accepted), None)
    if option is None:
        return {}
    return {option: (request.image_size,) * 2 if option == "input_size" else request.image_size}


@contextmanager
def _quiet() -> Iterator[None]:
    """Constructors warn of their own future defaults, which is nothing a user could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
