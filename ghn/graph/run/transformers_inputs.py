"""Inputs for models of the transformers library, from what their configuration and `forward` say."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ghn.graph.run.arguments import BATCH, Inputs

TOKENS = 12
"""Length of a text."""

SAMPLES = 16000
"""Length of a recording, one second for most models."""


def transformers_inputs(model: nn.Module, dummy: Mapping[str, Any]) -> Iterator[Inputs]:
    """Keyword arguments to try: everything that `forward` can use, then the main input alone, then `dummy_inputs`.

    Args:
        model: A model with `config` and `main_input_name`.
        dummy: Its `dummy_inputs`.
    """
    names = list(inspect.signature(model.forward).parameters)
    made = {name: tensor for name in names if (tensor := _make(name, model)) is not None}
    image_tokens = _with_image_tokens(made, model.config)
    if image_tokens is not None:
        yield Inputs((), image_tokens)
    if made:
        yield Inputs((), made)
    main = getattr(model, "main_input_name", "")
    decoder: dict[str, Any] = {
        name: made[name] for name in ("decoder_input_ids", "decoder_input_values") if name in made
    }
    if main in made and len(made) > 1:
        yield Inputs((), {main: made[main], **decoder})
    if dummy:
        yield Inputs((), dict(dummy))


def _make(name: str, model: nn.Module) -> Tensor | None:
    config = model.config
    if name in ("input_ids", "decoder_input_ids"):
        if name == "decoder_input_ids" and not getattr(config, "is_encoder_decoder", False):
            return None
        return _tokens(config)
    if name in ("pixel_values", "pixel_values_images"):
        return _pixels(config)
    if name == "pixel_values_videos":
        return _video(config)
    if name == "input_values":
        return _recording(config)
    if name in ("input_features", "audio_values"):
        return _spectrogram(config)
    if name == "bbox":
        return torch.zeros(BATCH, TOKENS, 4, dtype=torch.long)
    if name == "past_values":
        length = _first(config, ("context_length", "seq_length"), 64)
        return torch.zeros(BATCH, length, _first(config, ("num_input_channels", "input_size"), 1), device="meta")
    return None


def _first(config: Any, names: tuple[str, ...], default: Any) -> Any:
    """The first of several settings that a configuration, or one of its parts, has."""
    parts = [
        getattr(config, part, None) for part in ("text_config", "vision_config", "audio_config", "encoder", "decoder")
    ]
    for name in names:
        for holder in (config, *parts):
            value = getattr(holder, name, None)
            if value is not None:
                return value
    return default


def _tokens(config: Any) -> Tensor | None:
    vocabulary = _first(config, ("vocab_size",), None)
    if not isinstance(vocabulary, int):
        return None
    tokens = torch.arange(TOKENS) % max(min(vocabulary - 4, 50), 1) + min(3, vocabulary - 1)
    end = _first(config, ("eos_token_id",), None)
    if isinstance(end, int) and 0 <= end < vocabulary:
        # Sequence classifiers and contrastive text encoders read the state of the last token.
        tokens[tokens == end] = (end + 1) % vocabulary
        tokens[-1] = end
    return tokens.repeat(BATCH, 1)


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        size = (size.get("height", 224), size.get("width", 224))
    if isinstance(size, (tuple, list)):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def _pixels(config: Any) -> Tensor:
    vision = getattr(config, "vision_config", None) or config
    height, width = _sides(_first(vision, ("image_size", "crop_size"), 224))
    channels = _first(vision, ("num_channels", "in_channels"), 3)
    frames = getattr(vision, "num_frames", None)
    shape = (BATCH, channels, height, width) if frames is None else (BATCH, frames, channels, height, width)
    return torch.zeros(shape, device="meta")


def _video(config: Any) -> Tensor | None:
    frames = _first(config, ("num_frames", "frames_per_clip"), None)
    if frames is None:
        return None
    height, width = _sides(_first(config, ("image_size", "crop_size"), 224))
    return torch.zeros(BATCH, frames, 3, height, width, device="meta")


def _recording(config: Any) -> Tensor:
    mel = _first(config, ("num_mel_bins",), None)
    if mel is not None:
        return torch.zeros(BATCH, _first(config, ("max_length",), 1024), mel, device="meta")
    channels = _first(config, ("audio_channels",), None)
    return torch.zeros((BATCH, SAMPLES) if channels is None else (BATCH, channels, SAMPLES), device="meta")


def _spectrogram(config: Any) -> Tensor:
    mel = _first(config, ("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "input_dim"), 80)
    positions = _first(config, ("max_source_positions",), None)
    if _first(config, ("num_mel_bins",), None) is not None and positions is not None:
        return torch.zeros(BATCH, mel, 2 * positions, device="meta")
    return torch.zeros(BATCH, 256, mel, device="meta")


def _with_image_tokens(made: Mapping[str, Tensor], config: Any) -> dict[str, Tensor] | None:
    """The text with as many image tokens as the picture has patches, for models that splice one into the other."""
    image = _first(config, ("image_token_id", "image_token_index"), None)
    vision = getattr(config, "vision_config", None)
    if image is None or vision is None or "input_ids" not in made or "pixel_values" not in made:
        return None
    patch = getattr(vision, "patch_size", None)
    if not isinstance(patch, int):
        return None
    height, width = made["pixel_values"].shape[-2:]
    count = _first(config, ("image_seq_length", "mm_tokens_per_image"), (height // patch) * (width // patch))
    text = made["input_ids"]
    text = torch.where(text == image, 0, text)
    tokens = torch.cat([torch.full((BATCH, int(count)), int(image)), text], 1)
    return {**made, "input_ids": tokens}
