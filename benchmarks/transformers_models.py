"""Tiny models of the transformers library, built from configurations."""

from __future__ import annotations

from typing import Any

TEXT = (
    "bert roberta distilbert albert electra deberta deberta-v2 mpnet xlnet gpt2 gptj opt llama mistral gemma qwen2 phi"
)
TEXT += " bloom mamba t5 bart pegasus marian"
VISION = (
    "vit deit beit dinov2 segformer resnet regnet mobilenet_v2 poolformer dpt vit_mae levit cvt yolos swin convnext"
)
AUDIO = "wav2vec2 hubert whisper speech_to_text audio-spectrogram-transformer"
MIXED = "clip blip vilt llava timesformer videomae"
TINY_MODELS = f"{TEXT} {VISION} {AUDIO} {MIXED}".split()
"""Types of models, as in `AutoConfig.for_model`."""

SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "projection_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "d_ff", "hidden_dim"), 64),
    "decoder_attention_heads": 4,
    "num_decoder_layers": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "d_kv": 8,
    "rotary_dim": 4,
    "vocab_size": 200,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
"""Settings of a tiny model, where a configuration has them."""

# Sizes per stage follow from others there; these are small enough as they are.
UNCHANGED = ("swin", "convnext", "resnet", "regnet", "mobilenet_v2", "poolformer", "levit", "cvt")


def build_tiny(name: str) -> Any:
    """A randomly initialised model of one type."""
    import transformers

    kind = transformers.CONFIG_MAPPING[name]
    config = kind() if name in UNCHANGED else kind(**_settings(kind()))
    for part in ("text_config", "vision_config"):
        inner = getattr(config, part, None)
        if inner is not None and not isinstance(inner, dict):
            for key, value in _settings(inner).items():
                setattr(inner, key, value)
    return transformers.AutoModel.from_config(config)


def _settings(config: Any) -> dict[str, Any]:
    return {key: value for key, value in SIZES.items() if type(getattr(config, key, None)) is int}
