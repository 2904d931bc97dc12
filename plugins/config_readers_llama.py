"""Readers of decoders in Llama's shape: RMSNorm, rotary positions, gated feed-forward; and of their near relatives.

Facts from huggingface/transformers, src/transformers/models/<model_type>/modeling_<model_type>.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from planner.plugin import Architecture, ConfigFields, ConfigReader, hookimpl, read_decoder, read_layers, read_windows

SOURCE: Final = "huggingface/transformers, src/transformers/models"
AFTER: Final = "norms follow the sublayers; counted as if they preceded them"
Read = Callable[[Mapping[str, Any]], Architecture]


def biased_attention(fields: ConfigFields, *, default: bool = False) -> dict[str, bool]:
    """``attention_bias`` on all four projections."""
    bias = fields.flag("attention_bias", default=default)
    return {"qkv_bias": bias, "attention_out_bias": bias}


def llama(config: Mapping[str, Any]) -> Architecture:
    """The plain shape; Granite adds scalar multipliers only."""
    fields = ConfigFields(config)
    mlp_bias = fields.flag("mlp_bias", default=False)
    family = fields.text("model_type", default="llama")
    return read_decoder(fields, family=family, mlp_bias=mlp_bias, **biased_attention(fields))


def mistral(config: Mapping[str, Any]) -> Architecture:
    """Every layer has the window, where there is one."""
    fields = ConfigFields(config)
    windows = read_windows(fields, "sliding_window", unless_listed=read_layers(fields))
    return read_decoder(fields, family=fields.text("model_type", default="mistral"), **windows)


def phi3(config: Mapping[str, Any]) -> Architecture:
    """Queries, keys and values in one matrix, gate and up in another: the same parameters."""
    return replace(mistral(config), fused_qkv=True)


def olmo(config: Mapping[str, Any]) -> Architecture:
    """OLMo's LayerNorms have no parameters."""
    fields = ConfigFields(config)
    return read_decoder(fields, family="olmo", norm="nonparametric", **biased_attention(fields))


def olmo2(config: Mapping[str, Any]) -> Architecture:
    """OLMo 2 and 3 norm each sublayer's output instead of its input; queries and keys over their whole width."""
    fields = ConfigFields(config)
    layers = read_layers(fields)
    windows = read_windows(fields, "sliding_window", unless_listed=layers - layers // 4)
    family = fields.text("model_type", default="olmo2")
    return read_decoder(fields, family=family, qk_norm="full", note=AFTER, **biased_attention(fields), **windows)


def exaone4(config: Mapping[str, Any]) -> Architecture:
    """Norms after the sublayers; queries and keys normed per head; with a window three local layers in four."""
    fields = ConfigFields(config)
    layers = read_layers(fields)
    windows = read_windows(fields, "sliding_window", unless_listed=layers - layers // 4)
    return read_decoder(fields, family="exaone4", qk_norm="head", note=AFTER, **windows)


def hunyuan(config: Mapping[str, Any]) -> Architecture:
    """Queries and keys normed per head."""
    fields = ConfigFields(config)
    fields.refuse("use_qk_norm", True)
    return read_decoder(fields, family="hunyuan_v1_dense", qk_norm="head", **biased_attention(fields))


def internlm2(config: Mapping[str, Any]) -> Architecture:
    """Queries, keys and values in one matrix: the same parameters."""
    fields = ConfigFields(config)
    bias = fields.flag("bias", default=False)
    return read_decoder(fields, family="internlm2", fused_qkv=True, qkv_bias=bias, attention_out_bias=bias)


def baichuan(config: Mapping[str, Any]) -> Architecture:
    """The 13B models (40 layers) have linear position biases, the 7B ones rotary positions; the file does not say."""
    fields = ConfigFields(config)
    position = "alibi" if read_layers(fields) >= 40 else "rope"
    return read_decoder(fields, family="baichuan", fused_qkv=True, position=position)


def smollm3(config: Mapping[str, Any]) -> Architecture:
    """Llama with tied embeddings; one layer in four has no rotation."""
    fields = ConfigFields(config)
    mlp_bias = fields.flag("mlp_bias", default=False)
    return read_decoder(fields, family="smollm3", tied=True, mlp_bias=mlp_bias, **biased_attention(fields))


def glm(config: Mapping[str, Any]) -> Architecture:
    """``attention_bias`` spares the output projection."""
    fields = ConfigFields(config)
    bias, mlp_bias = fields.flag("attention_bias", default=False), fields.flag("mlp_bias", default=False)
    family = fields.text("model_type", default="glm")
    rotated = 0.5 if family == "glm" else 1.0
    return read_decoder(fields, family=family, rotated=rotated, qkv_bias=bias, mlp_bias=mlp_bias)


def glm4(config: Mapping[str, Any]) -> Architecture:
    """Norms before and after each sublayer."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=False)
    return read_decoder(fields, family="glm4", rotated=0.5, qkv_bias=bias, norms_per_layer=4)


def seed_oss(config: Mapping[str, Any]) -> Architecture:
    """Two flags: one for queries, keys and values, one for the output projection."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="seed_oss", qkv_bias=fields.flag("attention_bias", default=True),
        attention_out_bias=fields.flag("attention_out_bias", default=False),
        mlp_bias=fields.flag("mlp_bias", default=False),
    )  # fmt: skip


def arcee(config: Mapping[str, Any]) -> Architecture:
    """Llama with a plain feed-forward."""
    fields = ConfigFields(config)
    mlp_bias = fields.flag("mlp_bias", default=False)
    return read_decoder(fields, family="arcee", gated=False, mlp_bias=mlp_bias, **biased_attention(fields))


def ernie(config: Mapping[str, Any]) -> Architecture:
    """``use_bias`` covers all linears."""
    fields = ConfigFields(config)
    bias = fields.flag("use_bias", default=False)
    return read_decoder(fields, family="ernie4_5", tied=True, qkv_bias=bias, attention_out_bias=bias, mlp_bias=bias)


READERS: Final[tuple[tuple[Read, tuple[str, ...]], ...]] = (
    (llama, ("llama", "granite")),
    (smollm3, ("smollm3",)),
    (mistral, ("mistral", "ministral3", "ministral")),
    (phi3, ("phi3",)),
    (olmo, ("olmo",)),
    (olmo2, ("olmo2", "olmo3")),
    (exaone4, ("exaone4",)),
    (hunyuan, ("hunyuan_v1_dense",)),
    (internlm2, ("internlm2",)),
    (baichuan, ("baichuan",)),
    (glm, ("glm", "helium")),
    (glm4, ("glm4",)),
    (seed_oss, ("seed_oss",)),
    (arcee, ("arcee",)),
    (ernie, ("ernie4_5",)),
)


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """One reader per shape."""
    for read, model_types in READERS:
        yield ConfigReader(name=model_types[0], model_types=model_types, read=read, source=SOURCE)
