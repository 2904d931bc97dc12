"""Readers of decoders in Llama's shape: RMSNorm, rotary positions, gated feed-forward; and of their near relatives.

Facts from huggingface/transformers, src/transformers/models/<model_type>/modeling_<model_type>.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from planner.plugin import Architecture, ConfigFields, ConfigReader, hookimpl, read_decoder, read_layers, read_windows

SOURCE: Final = "huggingface/transformers, src/transformers/models"
Read = Callable[[Mapping[str, Any]], Architecture]


def biased_attention(fields: ConfigFields, *, default: bool = False) -> dict[str, bool]:
    """``attention_bias`` on all four projections."""
    bias = fields.flag("attention_bias", default=default)
    return {"qkv_bias": bias, "attention_out_bias": bias}


def llama(config: Mapping[str, Any]) -> Architecture:
    fields = ConfigFields(config)
    mlp_bias = fields.flag("mlp_bias", default=False)
    return read_decoder(fields, family=fields.text("model_type", default="llama"), mlp_bias=mlp_bias, **biased_attention(fields))


def mistral(config: Mapping[str, Any]) -> Architecture:
    """Every layer has the window, where there is one."""
    fields = ConfigFields(config)
    windows = read_windows(fields, "sliding_window", unless_listed=read_layers(fields))
    return read_decoder(fields, family=fields.text("model_type", default="mistral"), **windows)


def phi3(config: Mapping[str, Any]) -> Architecture:
    """Queries, keys, values in one matrix, gate and up in another: the same parameters. Dropout rates are zero in practice."""
    return mistral(config)


def olmo(config: Mapping[str, Any]) -> Architecture:
    """OLMo's LayerNorms have no parameters."""
    fields = ConfigFields(config)
    return read_decoder(fields, family="olmo", norm="nonparametric", **biased_attention(fields))


def olmo2(config: Mapping[str, Any]) -> Architecture:
    """OLMo 2 and 3 norm each sublayer's output instead of its input; queries and keys over their whole width."""
    fields = ConfigFields(config)
    layers = read_layers(fields)
    windows = read_windows(fields, "sliding_window", unless_listed=layers - layers // 4)
    note = "norms follow the sublayers; counted as if they preceded them"
    family = fields.text("model_type", default="olmo2")
    return read_decoder(fields, family=family, qk_norm="full", note=note, **biased_attention(fields), **windows)


def internlm2(config: Mapping[str, Any]) -> Architecture:
    fields = ConfigFields(config)
    bias = fields.flag("bias", default=False)
    return read_decoder(fields, family="internlm2", qkv_bias=bias, attention_out_bias=bias)


def baichuan(config: Mapping[str, Any]) -> Architecture:
    """The 13B models (40 layers) have linear position biases, the 7B ones rotary positions; the file does not say which."""
    fields = ConfigFields(config)
    position = "alibi" if read_layers(fields) >= 40 else "rope"
    return read_decoder(fields, family="baichuan", position=position)


def glm(config: Mapping[str, Any]) -> Architecture:
    fields = ConfigFields(config)
    return read_decoder(fields, family="glm", qkv_bias=fields.flag("attention_bias", default=False))


def glm4(config: Mapping[str, Any]) -> Architecture:
    """Norms before and after each sublayer."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=False)
    return read_decoder(fields, family="glm4", qkv_bias=bias, norms_per_layer=4)


def seed_oss(config: Mapping[str, Any]) -> Architecture:
    """Two flags: one for queries, keys and values, one for the output projection."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="seed_oss", qkv_bias=fields.flag("attention_bias", default=True),
        attention_out_bias=fields.flag("attention_out_bias", default=False), mlp_bias=fields.flag("mlp_bias", default=False),
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
    return read_decoder(
        fields, family="ernie4_5", tied=True, qkv_bias=bias, attention_out_bias=bias, mlp_bias=bias
    )


READERS: Final[tuple[tuple[Read, tuple[str, ...]], ...]] = (
    (llama, ("llama", "granite", "helium", "smollm3", "exaone4_llama")),
    (mistral, ("mistral", "ministral3", "ministral")),
    (phi3, ("phi3",)),
    (olmo, ("olmo",)),
    (olmo2, ("olmo2", "olmo3")),
    (internlm2, ("internlm2", "internlm3")),
    (baichuan, ("baichuan",)),
    (glm, ("glm",)),
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
