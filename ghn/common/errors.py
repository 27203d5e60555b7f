"""Errors for users, in one line that any terminal can show, and arguments of another kind than they must be."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from typing import Any

from ghn.common.text import one_line


class OneLineError(ValueError):
    """A ValueError whose message is one printable line of bounded length, whatever it was made of.

    Names of files and modules stand in messages: control characters are written as escapes, and the middle of what is
    longer than `ghn.common.text.LONGEST_LINE` characters is left out.

    Args:
        message: Any text.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class WrongTypeError(OneLineError, TypeError):
    """An argument of a type that means nothing here; a TypeError, and one line as all errors of ours."""


def check_path(value: object, what: str) -> None:
    """See that something can name a file.

    Args:
        value: A text or path, not empty.
        what: What it is, for the message.

    Raises:
        WrongTypeError: A TypeError and ValueError, if it is of another type.
        OneLineError: A ValueError, if it is empty.
    """
    if not isinstance(value, str | os.PathLike):
        raise WrongTypeError(f"{what} is a text or a path, not {type(value).__name__}")
    if not os.fspath(value):
        raise OneLineError(f"{what} is an empty text; give it a name")


def check_seed(seed: object) -> int:
    """A seed as PyTorch takes it, of whatever type of whole numbers it is.

    Raises:
        WrongTypeError: A TypeError and ValueError, if it is none.
        OneLineError: A ValueError, if it has more than 64 bits.
    """
    try:
        number = operator.index(seed)  # type: ignore[arg-type]
    except (TypeError, RuntimeError):
        raise WrongTypeError(f"seed is a whole number of 64 bits, not {seed!r}") from None
    if not -(2**63) <= number < 2**64:
        raise OneLineError(f"seed is a whole number of 64 bits, not {seed!r}")
    return number


def check_batches(batches: Sequence[Any]) -> None:
    """See that batches are pairs of images and as many labels.

    Args:
        batches: Each (B, ...) of any type, and (B,) of whole numbers or (B, C) shares of classes.

    Raises:
        OneLineError: A ValueError, if they are not.
    """
    from torch import Tensor

    for number, batch in enumerate(batches):
        is_pair = isinstance(batch, tuple | list) and len(batch) == 2
        if not is_pair or not all(isinstance(part, Tensor) for part in batch):
            kind = "no such pair" if is_pair else type(batch).__name__
            raise OneLineError(f"batches are pairs (images, labels) of tensors; batch {number} is {kind}")
        images, labels = batch
        if labels.is_complex() or labels.dim() != (2 if labels.is_floating_point() else 1):
            kind = f"{labels.dtype} of shape {tuple(labels.shape)}"
            raise OneLineError(f"labels are whole numbers (B,), or shares (B, C); those of batch {number} are {kind}")
        if not images.dim() or len(images) != len(labels):
            count = len(images) if images.dim() else "no"
            raise OneLineError(f"batch {number} has {count} images and {len(labels)} labels; give as many")
