"""Readers of Qwen: biases on queries, keys and values (2, 2.5), norms of queries and keys (3), routed variants of both.

Facts from huggingface/transformers, src/transformers/models/qwen2, qwen2_moe, qwen3, qwen3_moe.
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

SOURCE: Final = "huggingface/transformers, src/transformers/models/qwen2, qwen2_moe, qwen3, qwen3_moe"


def windows(fields: ConfigFields) -> dict[str, Any]:
    """``use_sliding_window`` turns the window on, for the layers from ``max_window_layers`` on."""
    if not fields.flag("use_sliding_window", default=False):
        return {}
    layers = read_layers(fields)
    local = max(0, layers - fields.count_or_zero("max_window_layers", default=28))
    return read_windows(fields, "sliding_window", unless_listed=local)


def routed(fields: ConfigFields, experts: int, **more: Any) -> MixtureOfExperts:  # noqa: ANN401 - its other fields
    """Every ``decoder_sparse_step``-th layer is routed, but for those that ``mlp_only_layers`` names."""
    dense, interval = fields.whole_numbers("mlp_only_layers"), fields.count("decoder_sparse_step", default=1)
    if dense != tuple(range(len(dense))) or (dense and interval > 1):
        raise InputError("mlp_only_layers must name the first layers, without gaps", hint="others are not supported")
    return MixtureOfExperts(
        experts=experts, topk=fields.count("num_experts_per_tok"), expert_ffn=fields.count("moe_intermediate_size"),
        first_k_dense=len(dense), interval=interval, **more,
    )  # fmt: skip


def qwen2(config: Mapping[str, Any]) -> Architecture:
    """Biases on queries, keys and values."""
    fields = ConfigFields(config)
    return read_decoder(fields, family="qwen2", qkv_bias=True, **windows(fields))


def qwen2_moe(config: Mapping[str, Any]) -> Architecture:
    """The shared expert has a gate of its own."""
    fields = ConfigFields(config)
    shared = fields.count("shared_expert_intermediate_size")
    moe = routed(fields, fields.count("num_experts"), shared_ffn=shared, shared_gate=True)
    bias = fields.flag("qkv_bias", default=True)
    return read_decoder(fields, family="qwen2_moe", qkv_bias=bias, moe=moe, **windows(fields))


def qwen3(config: Mapping[str, Any], moe: MixtureOfExperts | None = None) -> Architecture:
    """Queries and keys are normed per head."""
    fields = ConfigFields(config)
    bias = fields.flag("attention_bias", default=False)
    family = fields.text("model_type", default="qwen3").removesuffix("_text")
    return read_decoder(
        fields, family=family, qk_norm="head", qkv_bias=bias, attention_out_bias=bias, moe=moe, **windows(fields)
    )


def qwen3_moe(config: Mapping[str, Any]) -> Architecture:
    """Narrow experts, none shared."""
    fields = ConfigFields(config)
    return qwen3(config, moe=routed(fields, fields.count("num_experts", "num_local_experts")))


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """Qwen 2 to 3, and the language parts of Qwen-VL, which have the same shapes."""
    for read, model_types in (
        (qwen2, ("qwen2", "qwen2_vl", "qwen2_5_vl", "qwen2_vl_text", "qwen2_5_vl_text")),
        (qwen2_moe, ("qwen2_moe",)),
        (qwen3, ("qwen3", "qwen3_vl_text")),
        (qwen3_moe, ("qwen3_moe", "qwen3_vl_moe_text")),
    ):
        yield ConfigReader(name=model_types[0], model_types=model_types, read=read, source=SOURCE)
