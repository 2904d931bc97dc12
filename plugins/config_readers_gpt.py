"""Readers of decoders with learned positions or linear position biases: GPT-2, GPT-Neo, GPT-BigCode, OPT, BLOOM, MPT.

Facts from huggingface/transformers, src/transformers/models/<model_type>/modeling_<model_type>.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.plugin import Architecture, ConfigFields, ConfigReader, InputError, hookimpl, read_decoder, read_layers

SOURCE: Final = "huggingface/transformers, src/transformers/models"
EVERY_BIAS: Final[Mapping[str, bool]] = {"qkv_bias": True, "attention_out_bias": True, "mlp_bias": True}
OPT_POSITION_OFFSET: Final = 2
"""OPT's position table has two rows more than positions (the fairseq padding offset)."""


def four_times_hidden(fields: ConfigFields) -> int:
    """The feed-forward width where the file names none."""
    return 4 * fields.count("n_embd", "hidden_size", "n_embed", "d_model")


def gpt2(config: Mapping[str, Any]) -> Architecture:
    """Biases everywhere, a feed-forward four times as wide unless the file says otherwise."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="gpt2", fused_qkv=True, tied=True, gated=False, norm="layernorm", position="learned",
        learned_positions=fields.count("n_positions", "max_position_embeddings"), kv_heads=fields.count("n_head"),
        ffn_hidden=fields.count("n_inner", default=four_times_hidden(fields)), **EVERY_BIAS,
    )  # fmt: skip


def gpt_bigcode(config: Mapping[str, Any]) -> Architecture:
    """GPT-2 with one key-value head (``multi_query``)."""
    fields = ConfigFields(config)
    heads = fields.count("n_head", "num_attention_heads")
    return read_decoder(
        fields, family="gpt_bigcode", fused_qkv=True, tied=True, gated=False, norm="layernorm", position="learned",
        learned_positions=fields.count("n_positions", "max_position_embeddings"),
        kv_heads=1 if fields.flag("multi_query", default=True) else heads,
        ffn_hidden=fields.count("n_inner", default=four_times_hidden(fields)), **EVERY_BIAS,
    )  # fmt: skip


def gpt_neo(config: Mapping[str, Any]) -> Architecture:
    """Global and local layers in turn; no bias on queries, keys, values."""
    fields = ConfigFields(config)
    kinds = fields.words("attention_layers")
    local = kinds.count("local") if kinds else read_layers(fields) // 2
    windows = {"window": fields.count("window_size", default=256), "window_layers": local} if local else {}
    return read_decoder(
        fields, family="gpt_neo", tied=True, gated=False, norm="layernorm", position="learned",
        learned_positions=fields.count("max_position_embeddings"),
        ffn_hidden=fields.count("intermediate_size", default=four_times_hidden(fields)), attention_out_bias=True,
        mlp_bias=True, **windows,
    )  # fmt: skip


def opt(config: Mapping[str, Any]) -> Architecture:
    """OPT-350m alone has a narrow embedding, norms after the sublayers, and no final norm."""
    fields = ConfigFields(config)
    fields.refuse("layer_norm_elementwise_affine", True)
    hidden, bias = fields.count("hidden_size"), fields.flag("enable_bias", default=True)
    width = fields.count("word_embed_proj_dim", default=hidden)
    before = fields.flag("do_layer_norm_before", default=True)
    final = before and not fields.flag("_remove_final_layer_norm", default=False)
    return read_decoder(
        fields, family="opt", tied=True, gated=False, norm="layernorm", position="learned", final_norm=final,
        learned_positions=fields.count("max_position_embeddings") + OPT_POSITION_OFFSET, qkv_bias=bias,
        attention_out_bias=bias, mlp_bias=bias, embedding_width=None if width == hidden else width,
        note="" if before else "norms follow the sublayers; counted as if they preceded them",
    )  # fmt: skip


def bloom(config: Mapping[str, Any]) -> Architecture:
    """A norm after the embedding; linear position biases."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="bloom", fused_qkv=True, tied=True, gated=False, norm="layernorm", position="alibi", embedding_norm=True,
        activation="gelu", ffn_hidden=four_times_hidden(fields), **EVERY_BIAS,
    )  # fmt: skip


def mpt(config: Mapping[str, Any]) -> Architecture:
    """Norms and linears without biases; linear position biases."""
    fields, attention = ConfigFields(config), ConfigFields(config).section("attn_config")
    if not attention.flag("alibi", default=True):
        raise InputError("attn_config.alibi false is not supported", hint="supported is true")
    attention.refuse("qk_ln", False)
    ratio, hidden = fields.count("expansion_ratio", default=4, largest=1024), fields.count("d_model", "hidden_size")
    kv_heads = attention.count("kv_n_heads", default=fields.count("n_heads", "num_attention_heads"))
    if attention.text("attn_type", default="multihead_attention") == "multiquery_attention":
        kv_heads = 1
    return read_decoder(
        fields, family="mpt", fused_qkv=True, tied=True, gated=False, norm="layernorm-nobias", position="alibi", activation="gelu",
        ffn_hidden=ratio * hidden, kv_heads=kv_heads,
    )  # fmt: skip


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """One reader per family."""
    readers = {"gpt2": gpt2, "gpt_bigcode": gpt_bigcode, "gpt_neo": gpt_neo, "opt": opt, "bloom": bloom, "mpt": mpt}
    for name, read in readers.items():
        yield ConfigReader(name=name, model_types=(name,), read=read, source=SOURCE)
