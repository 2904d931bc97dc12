"""Readers of Gemma: wide heads, tied embeddings, gated tanh-GELU; from Gemma 2 on four norms a layer and local layers.

Facts from huggingface/transformers, src/transformers/models/gemma, gemma2, gemma3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.plugin import Architecture, ConfigFields, ConfigReader, hookimpl, read_decoder, read_layers, read_windows

SOURCE: Final = "huggingface/transformers, src/transformers/models/gemma, gemma2, gemma3"
GEMMA3_DEFAULTS: Final[Mapping[str, int]] = {
    "num_hidden_layers": 26, "hidden_size": 2304, "intermediate_size": 9216, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208, "max_position_embeddings": 131072,
    "sliding_window": 4096,
}  # fmt: skip
"""Published Gemma 3 files leave out what equals these (configuration_gemma3.py)."""
GEMMA3_PATTERN: Final = 6


def biases(fields: ConfigFields) -> dict[str, bool]:
    """``attention_bias`` on all four projections."""
    bias = fields.flag("attention_bias", default=False)
    return {"qkv_bias": bias, "attention_out_bias": bias}


def gemma(config: Mapping[str, Any]) -> Architecture:
    """The feed-forward is a tanh-GELU whatever ``hidden_act`` says: its value in old files was a mistake."""
    fields = ConfigFields(config)
    width = fields.count("head_dim", default=256)
    return read_decoder(fields, family="gemma", tied=True, activation="gelu_tanh", head_dim=width, **biases(fields))


def softcaps(fields: ConfigFields) -> dict[str, bool]:
    """Whether logits and attention scores are capped; the cap itself changes no count."""
    return {
        "logit_softcap": fields.value("final_logit_softcapping")[1] is not None,
        "attention_softcap": fields.value("attn_logit_softcapping")[1] is not None,
    }


def gemma2(config: Mapping[str, Any]) -> Architecture:
    """Every second layer is local, beginning with the first."""
    fields = ConfigFields(config)
    layers = read_layers(fields)
    windows = read_windows(fields, "sliding_window", unless_listed=(layers + 1) // 2)
    width = fields.count("head_dim", default=256)
    return read_decoder(
        fields, family="gemma2", tied=True, activation="gelu_tanh", head_dim=width, norms_per_layer=4,
        **biases(fields), **softcaps(fields), **windows,
    )  # fmt: skip


def gemma3(config: Mapping[str, Any]) -> Architecture:
    """Five local layers to a global one; queries and keys normed per head."""
    fields = ConfigFields({**GEMMA3_DEFAULTS, **config})
    layers = read_layers(fields)
    pattern = fields.count("sliding_window_pattern", "_sliding_window_pattern", default=GEMMA3_PATTERN)
    windows = read_windows(fields, "sliding_window", unless_listed=layers - layers // pattern)
    return read_decoder(
        fields, family="gemma3", tied=True, activation="gelu_tanh", norms_per_layer=4, qk_norm="head",
        **biases(fields), **softcaps(fields), **windows,
    )  # fmt: skip


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """Gemma 1 to 3; of Gemma 3's multimodal files the language part."""
    for read, model_types in ((gemma, ("gemma",)), (gemma2, ("gemma2",)), (gemma3, ("gemma3_text", "gemma3"))):
        yield ConfigReader(name=model_types[0], model_types=model_types, read=read, source=SOURCE)
