"""Readers of DeepSeek V2 and V3 and of models that took their shape: latent attention, fine-grained and shared experts.

Facts from huggingface/transformers, src/transformers/models/deepseek_v2, deepseek_v3, glm4_moe_lite; arXiv 2412.19437.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.plugin import (
    Architecture,
    ConfigFields,
    ConfigReader,
    InputError,
    LatentAttention,
    MixtureOfExperts,
    hookimpl,
    read_decoder,
)

SOURCE: Final = "huggingface/transformers, src/transformers/models/deepseek_v2, deepseek_v3, glm4_moe_lite"


def experts(fields: ConfigFields) -> MixtureOfExperts | None:
    """Shared experts form one feed-forward of their total width.

    The bias that balances the routing is not trained by the optimizer, and not counted.
    """
    routed = fields.optional_count("n_routed_experts")
    if routed is None:
        return None
    width, kinds = fields.count("moe_intermediate_size"), fields.words("mlp_layer_types")
    dense = kinds.index("sparse") if "sparse" in kinds else fields.count_or_zero("first_k_dense_replace")
    if "dense" in kinds[dense:]:
        raise InputError("mlp_layer_types must name dense layers first, then sparse ones")
    return MixtureOfExperts(
        experts=routed, topk=fields.count("num_experts_per_tok"), expert_ffn=width, first_k_dense=dense,
        router_float32=True, shared_ffn=fields.count_or_zero("n_shared_experts") * width,
        interval=fields.count("moe_layer_freq", default=1),
    )  # fmt: skip


def deepseek(config: Mapping[str, Any]) -> Architecture:
    """Latent attention; ``num_nextn_predict_layers`` counts the multi-token prediction layers."""
    fields = ConfigFields(config)
    latent = LatentAttention(
        q_rank=fields.optional_count("q_lora_rank"), kv_rank=fields.count("kv_lora_rank"),
        nope_dim=fields.count("qk_nope_head_dim"), rope_dim=fields.count("qk_rope_head_dim"),
        v_dim=fields.count("v_head_dim"),
    )  # fmt: skip
    bias = fields.flag("attention_bias", default=False)
    return read_decoder(
        fields, family=fields.text("model_type", default="deepseek_v3"), mixer="mla", mla=latent, moe=experts(fields),
        head_dim=latent.nope_dim + latent.rope_dim, kv_heads=fields.count("num_attention_heads"), qkv_bias=bias,
        attention_out_bias=bias, mtp_layers=fields.count_or_zero("num_nextn_predict_layers", largest=64),
    )  # fmt: skip


@hookimpl
def planner_config_readers() -> Iterator[ConfigReader]:
    """DeepSeek V2, V3, R1; Kimi K2; GLM 4.7 Flash."""
    model_types = ("deepseek_v3", "deepseek_v2", "kimi_k2", "glm4_moe_lite")
    yield ConfigReader(name="deepseek", model_types=model_types, read=deepseek, source=SOURCE)
