"""Hyper-parameters of a language model, before anything is said about how it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Norm = Literal["rmsnorm", "layernorm", "layernorm-nobias", "nonparametric"]
Position = Literal["rope", "learned", "alibi", "none"]
QueryKeyNorm = Literal["none", "head", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureOfExperts:
    """Routed feed-forward layers.

    `expert_ffn` is one expert's width; `shared_ffn` the total width of the experts that every token visits.
    Layers before `first_k_dense` are dense; after them every `interval`-th layer is routed
    (interval 1: all of them). `router_float32`: the reference code computes the router in float32. Dense layers have the
    architecture's own `ffn_hidden`.
    """

    experts: int
    topk: int
    expert_ffn: int
    shared_ffn: int = 0
    shared_gate: bool = False
    router_bias: bool = False
    router_float32: bool = False
    expert_bias: bool = False
    first_k_dense: int = 0
    interval: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (arXiv 2405.04434, section 2.1): ranks of the compressed tensors, head widths."""

    q_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder-only transformer.

    `mixer` and `feed_forward` name the sublayers (registered by plugins) that the layers are made of; a layer that
    `moe` declares routed uses `moe`'s sublayer instead. `window_layers` of the layers attend to `window` tokens only.
    `learned_positions` counts the rows of a learned position table (0: none).
    `norms_per_layer` counts the norms with parameters in one layer, besides those of queries and keys.
    `partial_rotary`: only a part of each head's width is rotated; `fused_qkv`: the reference code projects queries, keys and
    values in one GEMM. `embedding_width` is set where the token embedding is narrower than the residual stream.
    """

    slug: str
    name: str
    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn_hidden: int
    vocab: int
    gated: bool
    activation: str = "silu"
    mixer: str = "gqa"
    feed_forward: str = "mlp"
    norm: Norm = "rmsnorm"
    norms_per_layer: int = 2
    final_norm: bool = True
    embedding_norm: bool = False
    position: Position = "rope"
    learned_positions: int = 0
    embedding_width: int | None = None
    tied_embeddings: bool = False
    qkv_bias: bool = False
    attention_out_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    qk_norm: QueryKeyNorm = "none"
    parallel_residual: bool = False
    logit_softcap: bool = False
    attention_softcap: bool = False
    attention_sinks: bool = False
    partial_rotary: bool = False
    fused_qkv: bool = False
    dropout: bool = False
    window: int | None = None
    window_layers: int = 0
    max_seq_len: int | None = None
    moe: MixtureOfExperts | None = None
    mla: LatentAttention | None = None
    mtp_layers: int = 0
    source: str = ""
    note: str = ""

    def is_routed(self, layer: int) -> bool:
        """Whether layer `layer` (counted from 0) sends its tokens to experts."""
        moe = self.moe
        if moe is None or layer < moe.first_k_dense:
            return False
        return (layer - moe.first_k_dense + 1) % moe.interval == 0

    def is_windowed(self, layer: int) -> bool:
        """Whether layer `layer` attends to a sliding window; windowed layers are spread evenly over the depth."""
        before = layer * self.window_layers // self.layers
        return (layer + 1) * self.window_layers // self.layers > before
