"""Readers of other routed decoders: Mixtral, OLMoE, GPT-OSS, GLM 4.5, Llama 4, MiniMax M2, Granite MoE, Phi MoE, dots.

Facts from huggingface/transformers, src/transformers/models/<model_type>/modeling_<model_type>.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.plugin import (
    Architecture,
    ConfigFields,
    ConfigReader,
    InputError,
    MixtureOfExperts,
    hookimpl,
    read_decoder,
    read_layers,
    read_windows,
)

SOURCE: Final = "huggingface/transformers, src/transformers/models"


def uniform(fields: ConfigFields, experts: str, **more: Any) -> MixtureOfExperts:  # noqa: ANN401 - its other fields
    """Every layer is routed; ``intermediate_size`` is one expert's."""
    return MixtureOfExperts(
        experts=fields.count(experts, "num_experts", "num_local_experts"), topk=fields.count("num_experts_per_tok"),
        expert_ffn=fields.count("intermediate_size"), **more,
    )  # fmt: skip


def fine_grained(fields: ConfigFields) -> MixtureOfExperts:
    """Dense layers first, then many narrow experts beside shared ones."""
    width = fields.count("moe_intermediate_size")
    return MixtureOfExperts(
        experts=fields.count("n_routed_experts", "num_experts"), topk=fields.count("num_experts_per_tok"),
        expert_ffn=width, router_float32=True, shared_ffn=fields.count_or_zero("n_shared_experts") * width,
        first_k_dense=fields.count_or_zero("first_k_dense_replace"),
    )  # fmt: skip


def mixtral(config: Mapping[str, Any]) -> Architecture:
    """Every layer routed; the early files have a window."""
    fields = ConfigFields(config)
    windows = read_windows(fields, "sliding_window", unless_listed=read_layers(fields))
    return read_decoder(fields, family="mixtral", moe=uniform(fields, "num_local_experts"), **windows)


def olmoe(config: Mapping[str, Any]) -> Architecture:
    """Queries and keys are normed over their whole width."""
    fields = ConfigFields(config)
    bias, moe = fields.flag("attention_bias", default=False), uniform(fields, "num_experts")
    return read_decoder(fields, family="olmoe", qk_norm="full", qkv_bias=bias, attention_out_bias=bias, moe=moe)


def minimax_m2(config: Mapping[str, Any]) -> Architecture:
    """Queries and keys are normed over their whole width."""
    fields = ConfigFields(config)
    mtp_layers = 0
    if fields.flag("use_mtp", default=False):
        modules = fields.count_or_zero("num_mtp_modules", largest=64)
        mtp_layers = modules * fields.count("mtp_transformer_layers", default=1, largest=64)
    moe = uniform(fields, "num_local_experts")
    return read_decoder(fields, family="minimax_m2", qk_norm="full", moe=moe, mtp_layers=mtp_layers)


def gpt_oss(config: Mapping[str, Any]) -> Architecture:
    """Biases everywhere, router and experts included; a sink per head; every second layer local, from the first on. Gate and up are
    clamped (``swiglu_limit``; openai/gpt-oss, gpt_oss/torch/model.py, swiglu)."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=True)
    windows = read_windows(fields, "sliding_window", unless_listed=(read_layers(fields) + 1) // 2)
    return read_decoder(
        fields, family="gpt_oss", qkv_bias=bias, attention_out_bias=bias, attention_sinks=True, activation="clamped_silu",
        moe=uniform(fields, "num_local_experts", router_bias=True, expert_bias=True), **windows,
    )  # fmt: skip


def glm4_moe(config: Mapping[str, Any]) -> Architecture:
    """``attention_bias`` spares the output projection."""
    fields = ConfigFields(config)
    return read_decoder(
        fields, family="glm4_moe", rotated=0.5, qkv_bias=fields.flag("attention_bias", default=False), moe=fine_grained(fields),
        qk_norm="head" if fields.flag("use_qk_norm", default=False) else "none",
        mtp_layers=fields.count_or_zero("num_nextn_predict_layers", largest=64),
    )  # fmt: skip


def dots1(config: Mapping[str, Any]) -> Architecture:
    """Queries and keys are normed per head."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=False)
    moe = fine_grained(fields)
    return read_decoder(fields, family="dots1", qk_norm="head", qkv_bias=bias, attention_out_bias=bias, moe=moe)


def granite_moe(config: Mapping[str, Any]) -> Architecture:
    """The shared variant adds one dense feed-forward beside the experts."""
    fields = ConfigFields(config)
    bias, shared = fields.flag("attention_bias", default=False), fields.count_or_zero("shared_intermediate_size")
    moe = uniform(fields, "num_local_experts", shared_ffn=shared)
    family = fields.text("model_type", default="granitemoe")
    return read_decoder(fields, family=family, qkv_bias=bias, attention_out_bias=bias, moe=moe)


def phimoe(config: Mapping[str, Any]) -> Architecture:
    """LayerNorm with bias, gated experts."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=False)
    windows = read_windows(fields, "sliding_window", unless_listed=read_layers(fields))
    return read_decoder(
        fields, family="phimoe", norm="layernorm", qkv_bias=bias, attention_out_bias=bias,
        head_bias=fields.flag("lm_head_bias", default=False), moe=uniform(fields, "num_local_experts"), **windows,
    )  # fmt: skip


def llama4(config: Mapping[str, Any]) -> Architecture:
    """One shared expert of a routed one's width; the norm of queries and keys has no weight.

    Three layers in four attend within a chunk, which is counted as a window of that length.
    """
    fields = ConfigFields(config)
    layers, width = read_layers(fields), fields.count("intermediate_size")
    interval = fields.count("interleave_moe_layer_step", default=1)
    routed = fields.whole_numbers("moe_layers")
    if routed and routed != tuple(range(interval - 1, layers, interval)):
        raise InputError(f"moe_layers must name every {interval}-th layer, as interleave_moe_layer_step says")
    moe = MixtureOfExperts(
        experts=fields.count("num_local_experts"), topk=fields.count("num_experts_per_tok"), expert_ffn=width,
        shared_ffn=width, interval=interval,
    )  # fmt: skip
    bias = fields.flag("attention_bias", default=False)
    windows = read_windows(fields, "attention_chunk_size", unless_listed=layers - layers // 4)
    return read_decoder(
        fields, family="llama4", ffn_hidden=fields.count("intermediate_size_mlp"), qkv_bias=bias,
        attention_out_bias=bias, moe=moe, **windows,
    )  # fmt: skip


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """One reader per shape."""
    for read, model_types in (
        (mixtral, ("mixtral",)),
        (olmoe, ("olmoe",)),
        (minimax_m2, ("minimax_m2",)),
        (gpt_oss, ("gpt_oss",)),
        (glm4_moe, ("glm4_moe",)),
        (dots1, ("dots1",)),
        (granite_moe, ("granitemoe", "granitemoeshared")),
        (phimoe, ("phimoe",)),
        (llama4, ("llama4_text",)),
    ):
        yield ConfigReader(name=model_types[0], model_types=model_types, read=read, source=SOURCE)
