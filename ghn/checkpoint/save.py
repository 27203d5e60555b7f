"""Write a hypernetwork to a folder, all or nothing: weights, configuration, model card, and images if there are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ghn.checkpoint.card import model_card
from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.images import IMAGES_FILE, write_images
from ghn.checkpoint.published import FLOATS
from ghn.common import files
from ghn.common.text import shown
from ghn.data.image_set import ImageSet
from ghn.hypernet import GHN
from ghn.hypernet.config import GHNConfig

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"

FILES = (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE, IMAGES_FILE)
"""What a hypernetwork's folder may consist of."""


def save_pretrained(hypernet: GHN, folder: str | Path, *, images: ImageSet | None = None, **card: Any) -> Path:
    """Save a hypernetwork in the format that `ghn.from_pretrained` and the model hub read.

    Args:
        hypernet: What to save.
        folder: Made if missing; of an existing one only the files of a hypernetwork are replaced.
        images: A few training images to bring along, from which batch-norm statistics are set.
        card: Arguments of `ghn.checkpoint.card.model_card`, e.g. `training`.

    Returns:
        The folder.

    Raises:
        CheckpointError: If it cannot be written; the folder is then as it was before.
    """
    return write_checkpoint(folder, hypernet.state_dict(), hypernet.config, images=images, **card)


def write_checkpoint(
    folder: str | Path,
    state: Mapping[str, Tensor],
    config: GHNConfig,
    *,
    images: ImageSet | None = None,
    **card: Any,
) -> Path:
    """Write tensors, configuration and model card; see `save_pretrained`.

    Args:
        folder: Where.
        state: The whole state of `GHN(config)`.
        config: Architecture.
        images: A few training images to bring along; None brings none.
        card: Arguments of `model_card`.

    Returns:
        The folder.

    Raises:
        CheckpointError: If it cannot be written, or holds other than floating-point numbers, which loading refuses; the
            folder is then as it was before.
    """
    for key, tensor in state.items():
        if tensor.dtype not in FLOATS:
            raise CheckpointError(f"{folder}: {key} holds {tensor.dtype} numbers, not floating-point ones to be stored")
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state.values()})
    with replaced_folder(folder) as partial:
        save_file(_separate(state), partial / WEIGHTS_FILE, metadata={"format": "pt"})
        text = json.dumps(config.to_dict(), indent=2, sort_keys=True)
        (partial / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        (partial / CARD_FILE).write_text(
            model_card(config, shapes, **{"dtype": ", ".join(dtypes), "images": images, **card}), encoding="utf-8"
        )
        if images is not None:
            write_images(images, partial / IMAGES_FILE)
    return Path(os.fspath(folder))


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without gaps and without shared memory, copied only where necessary."""
    seen: set[int] = set()
    result = {}
    for key, tensor in state.items():
        tensor = tensor.detach().contiguous()
        address = tensor.untyped_storage().data_ptr()
        result[key] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return result


@contextmanager
def replaced_folder(folder: str | Path) -> Iterator[Path]:
    """A temporary folder whose files end up in `folder` if the block succeeds, and nowhere if it does not.

    A new folder appears by one rename; in an existing one each file is replaced by a rename, others stay.

    Args:
        folder: The folder to make or change.

    Yields:
        The temporary folder, on the same file system.

    Raises:
        CheckpointError: If something cannot be written.
    """
    with writing(folder), files.replaced_folder(Path(folder)) as partial:
        yield partial


@contextmanager
def writing(folder: str | Path) -> Iterator[None]:
    """Context in which a folder is written: what goes wrong is a `CheckpointError` that names it."""
    if "\0" in os.fspath(folder):
        raise CheckpointError(f"{folder}: no folder's name holds a NUL")
    try:
        yield
    except (NotADirectoryError, FileExistsError):
        raise CheckpointError(f"{folder}: cannot be written, as a file is in the way") from None
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror or error})") from None
    except SafetensorError as error:
        raise CheckpointError(f"{folder}: cannot be written ({shown(str(error))})") from None
