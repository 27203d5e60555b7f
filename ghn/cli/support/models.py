"""The model that a command's options name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ghn.zoo import ModelRequest

if TYPE_CHECKING:
    from torch import Tensor

    from ghn.zoo.request import BuiltModel

BY_MODULES = "its forward pass could not be run: the graph is the order of its modules (docs/models.md)"
"""What there is to say of how a graph was read, where `traced_by` is "modules"."""


def requested_model(name: str, *, num_classes: int | None, image_size: int | None, meta: bool = False) -> ModelRequest:
    """What to ask of the zoo; afterwards, modules in the current folder can be imported.

    Args:
        name: As given for MODEL.
        num_classes: As given to `--num-classes`.
        image_size: As given to `--image-size`.
        meta: Whether it is built without numbers.

    Raises:
        ValueError: In one line, if one of them cannot be.
    """
    for flag, value in (("--num-classes", num_classes), ("--image-size", image_size)):
        if value is not None and value < 1:
            raise ValueError(f"{flag} must be at least 1, not {value}")
    look_in_current_folder()
    return ModelRequest(name=name, num_classes=num_classes, image_size=image_size, meta=meta)


def batches_for(
    built: BuiltModel, data: str, count: int, *, image_size: int | None, data_root: str | None, seed: int
) -> list[tuple[Tensor, Tensor]]:
    """Training images of the size that a model takes, in batches; see `ghn.data.sample.sample_batches`.

    Args:
        built: The model with its example inputs.
        data: Data set or folder.
        count: Images.
        image_size: As given to `--image-size`; by default that of the example inputs, or 224.
        data_root: As given to `--data-root`.
        seed: Governs which images.

    Raises:
        DataError: In one line, if there are none.
    """
    from ghn.data.sample import sample_batches

    example = built.example_inputs
    side = image_size or (example.shape[-1] if hasattr(example, "shape") else 224)
    root = None if data_root is None else Path(data_root)
    return sample_batches(data, count, root=root, image_size=side, seed=seed)


def look_in_current_folder() -> None:
    """Let modules in the current folder be imported: the installed command, unlike `python -m`, does not look there."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
