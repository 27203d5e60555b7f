"""What is asked of the zoo, what it gives, and what each of its sources must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Which model to build.

    Attributes:
        name: As in the table of `ghn.zoo`.
        num_classes: Outputs of its classification head; by default its own.
        image_size: Side of its square images in pixels; by default its own.
        lenient: Leave `num_classes` out where a function or class of the user's does not take it.
        meta: Build it without numbers where its constructor allows: enough to trace it, at any size.
    """

    name: str
    num_classes: int | None = None
    image_size: int | None = None
    lenient: bool = False
    meta: bool = False

    def __post_init__(self) -> None:
        for field in ("num_classes", "image_size"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"{field} must be at least 1, not {value}")


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model with its own initialisation, and what to trace it with (None: what tracing finds by itself)."""

    model: nn.Module
    example_inputs: Any = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A place where models come from.

    Attributes:
        usage: How its models are named, for messages.
        build: Makes the model of a request from the name after the colon and the constructor's options; raises
            `UnknownNameError` if there is none, another ValueError in one line if it cannot be built.
        library: What it is installed by; None for what users write.
        names: Gives the names of its models, without what stands before the colon.
    """

    usage: str
    build: Callable[[ModelRequest, str, dict[str, Any]], BuiltModel]
    library: str | None = None
    names: Callable[[], Sequence[str]] = tuple


class UnknownNameError(ValueError):
    """There is no model of that name."""
