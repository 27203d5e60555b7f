"""Inputs from the configurations of transformers."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.run.transformers_inputs import TOKENS, transformers_inputs


def model_of(forward: Any, main: str = "", **config: Any) -> Any:
    """A stand-in: a module with a configuration, whose `forward` names its arguments."""
    parts = {key: SimpleNamespace(**value) if key.endswith("_config") else value for key, value in config.items()}
    model: Any = nn.Module()
    model.forward = forward
    model.config, model.main_input_name = SimpleNamespace(**parts), main
    return model


def tried(model: Any, dummy: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    candidates = list(transformers_inputs(model, dummy or {}))
    assert not any(inputs.args for inputs in candidates)
    return [dict(inputs.kwargs) for inputs in candidates]


def shapes(kwargs: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in kwargs.items()}


def text(input_ids: Tensor, attention_mask: Any = None) -> None: ...
def both(input_ids: Tensor, decoder_input_ids: Any = None) -> None: ...
def image(pixel_values: Tensor) -> None: ...
def video(pixel_values_videos: Tensor) -> None: ...
def recording(input_values: Tensor) -> None: ...
def spectrogram(input_features: Tensor) -> None: ...
def series(past_values: Tensor) -> None: ...
def page(input_ids: Tensor, bbox: Tensor) -> None: ...
def picture_and_text(input_ids: Tensor, pixel_values: Tensor) -> None: ...
def unknown(magic: Tensor) -> None: ...


@pytest.mark.parametrize(
    ("forward", "config", "expected"),
    [
        (text, {"vocab_size": 30}, {"input_ids": (2, 12)}),
        (text, {"text_config": {"vocab_size": 30}}, {"input_ids": (2, 12)}),
        (both, {"vocab_size": 30}, {"input_ids": (2, 12)}),
        (both, {"vocab_size": 30, "is_encoder_decoder": True}, {"input_ids": (2, 12), "decoder_input_ids": (2, 12)}),
        (image, {}, {"pixel_values": (2, 3, 224, 224)}),
        (image, {"image_size": 30, "num_channels": 1}, {"pixel_values": (2, 1, 30, 30)}),
        (image, {"image_size": [30, 40]}, {"pixel_values": (2, 3, 30, 40)}),
        (image, {"image_size": {"height": 30, "width": 40}}, {"pixel_values": (2, 3, 30, 40)}),
        (image, {"vision_config": {"image_size": 30}, "image_size": 99}, {"pixel_values": (2, 3, 30, 30)}),
        (image, {"num_frames": 4, "image_size": 30}, {"pixel_values": (2, 4, 3, 30, 30)}),
        (video, {"frames_per_clip": 8, "crop_size": 32}, {"pixel_values_videos": (2, 8, 3, 32, 32)}),
        (recording, {}, {"input_values": (2, 16000)}),
        (recording, {"audio_channels": 2}, {"input_values": (2, 2, 16000)}),
        (recording, {"num_mel_bins": 64, "max_length": 100}, {"input_values": (2, 100, 64)}),
        (spectrogram, {}, {"input_features": (2, 256, 80)}),
        (spectrogram, {"num_mel_bins": 64, "max_source_positions": 50}, {"input_features": (2, 64, 100)}),
        (series, {"context_length": 20, "num_input_channels": 3}, {"past_values": (2, 20, 3)}),
        (page, {"vocab_size": 30}, {"input_ids": (2, 12), "bbox": (2, 12, 4)}),
    ],
)
def test_shapes(forward: Any, config: dict[str, Any], expected: dict[str, tuple[int, ...]]) -> None:
    assert shapes(tried(model_of(forward, **config))[0]) == expected


@pytest.mark.parametrize(("forward", "config"), [(text, {}), (text, {"vocab_size": None}), (video, {}), (unknown, {})])
def test_what_is_not_known_is_left_out(forward: Any, config: dict[str, Any]) -> None:
    assert tried(model_of(forward, **config)) == []


@pytest.mark.parametrize("vocabulary", [1, 2, 4, 5, 6, 54, 30000])
@pytest.mark.parametrize("end", [None, 0, 1, 2, 7, 29999])
def test_tokens_are_words_and_end_once(vocabulary: int, end: int | None) -> None:
    tokens = tried(model_of(text, vocab_size=vocabulary, eos_token_id=end))[0]["input_ids"]
    assert tokens.dtype == torch.int64
    assert torch.equal(tokens[0], tokens[1])
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < vocabulary
    if end is not None and end < vocabulary > 1:
        assert (tokens[0] == end).nonzero().flatten().tolist() == [TOKENS - 1]


def test_main_input_alone_and_dummies_come_last() -> None:
    model = model_of(page, "input_ids", vocab_size=30)
    dummy = {"input_ids": torch.zeros(1, 3)}
    assert [sorted(kwargs) for kwargs in tried(model, dummy)] == [["bbox", "input_ids"], ["input_ids"], ["input_ids"]]
    assert tried(model, dummy)[-1] == dummy


def test_text_has_an_image_token_for_each_patch() -> None:
    config: dict[str, Any] = {
        "vocab_size": 30,
        "image_token_id": 9,
        "vision_config": {"image_size": 8, "patch_size": 4},
    }
    first, second, *_ = tried(model_of(picture_and_text, **config))
    assert (first["input_ids"] == 9).sum(1).tolist() == [4, 4]
    assert first["input_ids"].shape == (2, 4 + TOKENS)
    assert second["input_ids"].shape == (2, TOKENS)
    config["image_seq_length"] = 3
    assert (tried(model_of(picture_and_text, **config))[0]["input_ids"] == 9).sum() == 6
    del config["image_token_id"]
    assert tried(model_of(picture_and_text, **config))[0]["input_ids"].shape == (2, TOKENS)
