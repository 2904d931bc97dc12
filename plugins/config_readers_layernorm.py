"""Readers of decoders with LayerNorm and rotary positions: GPT-NeoX, GPT-J, Phi, Falcon, StableLM, Cohere and others.

Facts from huggingface/transformers, src/transformers/models/<model_type>/modeling_<model_type>.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.plugin import (
    Architecture,
    ConfigFields,
    ConfigReader,
    hookimpl,
    read_decoder,
    read_layers,
    read_windows,
)

SOURCE: Final = "huggingface/transformers, src/transformers/models"


def gpt_neox(config: Mapping[str, Any]) -> Architecture:
    """Two norms, whether the branches are parallel or not."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=True)
    parallel = fields.flag("use_parallel_residual", default=True)
    return read_decoder(
        fields, family="gpt_neox", rotated=0.25, fused_qkv=True, gated=False, norm="layernorm",
        parallel_residual=parallel, qkv_bias=bias,
        attention_out_bias=bias, mlp_bias=True,
    )  # fmt: skip


def gptj(config: Mapping[str, Any]) -> Architecture:
    """Parallel branches behind one norm; the output projection has a bias, attention has none."""
    fields = ConfigFields(config)
    width = fields.count("n_inner", "intermediate_size", default=4 * fields.count("n_embd", "hidden_size"))
    family = fields.text("model_type", default="gptj")
    return read_decoder(
        fields, family=family, fused_qkv=family == "codegen", gated=False, norm="layernorm", parallel_residual=True,
        norms_per_layer=1, ffn_hidden=width, mlp_bias=True, head_bias=True,
    )  # fmt: skip


def phi(config: Mapping[str, Any]) -> Architecture:
    """Parallel branches behind one norm, biases everywhere."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="phi", rotated=0.5, gated=False, norm="layernorm", parallel_residual=True, norms_per_layer=1, qkv_bias=True,
        attention_out_bias=True, mlp_bias=True, head_bias=True,
        qk_norm="head" if fields.flag("qk_layernorm", default=False) else "none",
    )  # fmt: skip


def falcon(config: Mapping[str, Any]) -> Architecture:
    """7B: one key-value head, one norm. 40B and 180B (``new_decoder_architecture``): groups, two norms. RW: biases."""
    fields = ConfigFields(config)
    heads = fields.count("num_attention_heads", "n_head")
    grouped = fields.flag("new_decoder_architecture", default=False)
    multi_query = fields.flag("multi_query", default=True)
    kv_heads = fields.count("num_kv_heads", "n_head_kv", default=heads) if grouped else 1 if multi_query else heads
    parallel = grouped or fields.flag("parallel_attn", default=True)
    norms = fields.count("num_ln_in_parallel_attn", default=2) if grouped else 1 if parallel else 2
    bias = fields.flag("bias", default=False)
    hidden = fields.count("hidden_size", "n_embed")
    return read_decoder(
        fields, family="falcon", fused_qkv=True, tied=True, gated=False, norm="layernorm", kv_heads=kv_heads,
        parallel_residual=parallel, norms_per_layer=norms,
        position="alibi" if fields.flag("alibi", default=False) else "rope", qkv_bias=bias,
        attention_out_bias=bias, mlp_bias=bias, activation=fields.text("activation", default="gelu"),
        ffn_hidden=fields.count("ffn_hidden_size", default=4 * hidden),
    )  # fmt: skip


def stablelm(config: Mapping[str, Any]) -> Architecture:
    """A gated feed-forward; parallel branches share one norm."""
    fields = ConfigFields(config)
    parallel = fields.flag("use_parallel_residual", default=False)
    return read_decoder(
        fields, family="stablelm", rotated=0.25, norm="layernorm", parallel_residual=parallel, norms_per_layer=1 if parallel else 2,
        qkv_bias=fields.flag("use_qkv_bias", default=False),
        qk_norm="full" if fields.flag("qk_layernorm", default=False) else "none",
    )  # fmt: skip


def starcoder2(config: Mapping[str, Any]) -> Architecture:
    """``use_bias`` covers all linears."""
    fields = ConfigFields(config)
    fields.refuse("norm_type", "layer_norm")
    bias = fields.flag("use_bias", default=True)
    windows = read_windows(fields, "sliding_window", unless_listed=read_layers(fields))
    return read_decoder(
        fields, family="starcoder2", tied=True, gated=False, norm="layernorm", qkv_bias=bias, attention_out_bias=bias,
        mlp_bias=bias, **windows,
    )  # fmt: skip


def cohere(config: Mapping[str, Any]) -> Architecture:
    """Parallel branches behind one norm without bias; norms per head in Command R+, local layers in Command R7B."""
    fields = ConfigFields(config)
    bias, layers = fields.flag("attention_bias", default=False), read_layers(fields)
    pattern = fields.count("sliding_window_pattern", "_sliding_window_pattern", default=4)
    windows = read_windows(fields, "sliding_window", unless_listed=layers - layers // pattern)
    return read_decoder(
        fields, family=fields.text("model_type", default="cohere"), tied=True, norm="layernorm-nobias",
        parallel_residual=True, norms_per_layer=1, qkv_bias=bias, attention_out_bias=bias,
        qk_norm="full" if fields.flag("use_qk_norm", default=False) else "none", **windows,
    )  # fmt: skip


def nemotron(config: Mapping[str, Any]) -> Architecture:
    """A plain feed-forward with a squared ReLU; norms with 1 + weight and bias."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=False)
    return read_decoder(
        fields, family="nemotron", rotated=0.5, gated=False, norm="layernorm", qkv_bias=bias, attention_out_bias=bias,
        mlp_bias=fields.flag("mlp_bias", default=False),
    )  # fmt: skip


def persimmon(config: Mapping[str, Any]) -> Architecture:
    """Biases everywhere; queries and keys normed per head."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="persimmon", rotated=0.5, fused_qkv=True, gated=False, norm="layernorm", qkv_bias=True,
        attention_out_bias=True, mlp_bias=True,
        qk_norm="head" if fields.flag("qk_layernorm", default=True) else "none",
    )  # fmt: skip


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """One reader per shape."""
    for read, model_types in (
        (gpt_neox, ("gpt_neox",)),
        (gptj, ("gptj", "codegen")),
        (phi, ("phi",)),
        (falcon, ("falcon",)),
        (stablelm, ("stablelm",)),
        (starcoder2, ("starcoder2",)),
        (cohere, ("cohere", "cohere2")),
        (nemotron, ("nemotron",)),
        (persimmon, ("persimmon",)),
    ):
        yield ConfigReader(name=model_types[0], model_types=model_types, read=read, source=SOURCE)
