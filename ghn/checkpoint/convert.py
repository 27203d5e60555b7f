"""Published checkpoints and training files into the format of this library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ghn.checkpoint.architecture import check_finite, check_shapes, infer_config, normalize
from ghn.checkpoint.card import RELEASES, preset_of
from ghn.checkpoint.errors import CheckpointError
from ghn.checkpoint.published import read_published
from ghn.checkpoint.save import write_checkpoint
from ghn.common.errors import check_path
from ghn.data.image_set import ImageSet
from ghn.hypernet.config import GHNConfig


def convert_checkpoint(published_file: str | Path, folder: str | Path, *, images: ImageSet | None = None) -> Path:
    """Turn a released pickle or a training file into a folder that `ghn.from_pretrained` reads.

    The file is never executed: a closed reader takes plain tensors out of it and refuses all else. Numbers and their
    precision stay as they are.

    Args:
        published_file: Made by `joblib.dump` (compressed or not), `pickle.dump` or `torch.save`; holds {key: tensor} or
            {"state_dict": {key: tensor}, "config": {...}, ...}.
        folder: Where model.safetensors, config.json and README.md go; made if missing.
        images: A few training images to bring along, from which batch-norm statistics are set.

    Returns:
        The folder.

    Raises:
        CheckpointError: In one line, if the file is not such a checkpoint, is damaged, refers to anything but plain
            tensors, holds numbers that are not finite or is no hypernetwork, or if the folder cannot be written.
            Nothing is written then.
    """
    check_path(published_file, "a checkpoint's file")
    check_path(folder, "the folder to write")
    path = Path(published_file)
    config, state = read_hypernetwork(path)
    card: dict[str, Any] = {"source": path.name, "license": "other"}
    release = RELEASES.get(path.stem)
    if release and release.preset == preset_of(config):
        card |= {"name": path.stem, "training": release.training}
    return write_checkpoint(folder, state, config, images=images, **card)


def read_hypernetwork(published_file: str | Path) -> tuple[GHNConfig, dict[str, Tensor]]:
    """Architecture and state of a released pickle or a training file, checked.

    Args:
        published_file: As for `convert_checkpoint`.

    Returns:
        The architecture, and the whole, finite state of `GHN(config)`, sharing memory with the file.

    Raises:
        CheckpointError: As `convert_checkpoint`.
    """
    published = read_published(published_file)
    try:
        state = normalize(published.state)
        shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
        config = infer_config(shapes, published.config)
        check_shapes(shapes, config)
        check_finite(state)
    except CheckpointError as error:
        raise CheckpointError(f"{published_file}: {error}") from None
    return config, state
