"""The catalog's table of models."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from planner.catalog.declarations import Base, Fact, fact, listed, not_negative, positive, truth, whole

ARCHITECTURE_NUMBERS: Final = (
    "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "vocab", "norms_per_layer", "learned_positions",
    "embedding_width", "window", "window_layers", "max_seq_len", "mtp_layers", "moe_experts", "moe_topk",
    "moe_expert_ffn", "moe_shared_ffn", "moe_first_k_dense", "moe_interval", "mla_q_rank", "mla_kv_rank",
    "mla_nope_dim", "mla_rope_dim", "mla_v_dim",
)  # fmt: skip
ARCHITECTURE_TRUTHS: Final = (
    "gated", "final_norm", "embedding_norm", "tied_embeddings", "qkv_bias", "attention_out_bias", "mlp_bias",
    "head_bias", "parallel_residual", "logit_softcap", "attention_softcap", "attention_sinks", "partial_rotary",
    "fused_qkv", "dropout", "moe_shared_gate", "moe_router_bias", "moe_router_float32", "moe_expert_bias",
)  # fmt: skip


class Architecture(Fact, Base):
    """Hyper-parameters of a language model; the columns are the fields of `planner.domain.architecture`."""

    __tablename__ = "architecture"
    __table_args__ = fact(
        *listed("family", "layers", "hidden", "heads", "kv_heads", "vocab"),
        *positive(
            "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "vocab", "embedding_width", "window",
            "max_seq_len", "moe_experts", "moe_topk", "moe_expert_ffn", "moe_interval", "mla_q_rank", "mla_kv_rank",
            "mla_nope_dim", "mla_rope_dim", "mla_v_dim",
        ),
        *not_negative(
            "norms_per_layer", "learned_positions", "window_layers", "mtp_layers", "moe_shared_ffn", "moe_first_k_dense"
        ),
        *whole(1_000_000_000, *ARCHITECTURE_NUMBERS),
        *truth(*ARCHITECTURE_TRUTHS),
        CheckConstraint("kv_heads <= heads", name="kv_heads_at_most_heads"),
        CheckConstraint("window_layers <= layers", name="window_layers_at_most_layers"),
        CheckConstraint("moe_topk <= moe_experts", name="topk_at_most_experts"),
        CheckConstraint("norm IN ('rmsnorm', 'layernorm', 'layernorm-nobias', 'nonparametric')", name="norm_known"),
        CheckConstraint("position IN ('rope', 'learned', 'alibi', 'none')", name="position_known"),
        CheckConstraint("qk_norm IN ('none', 'head', 'full')", name="qk_norm_known"),
    )  # fmt: skip

    family: Mapped[str] = mapped_column(Text, comment="as the source groups its models")
    layers: Mapped[int] = mapped_column(comment="decoder layers")
    hidden: Mapped[int] = mapped_column(comment="width of the residual stream")
    heads: Mapped[int] = mapped_column(comment="query heads")
    kv_heads: Mapped[int] = mapped_column(comment="key and value heads")
    head_dim: Mapped[int] = mapped_column(comment="width of one head")
    ffn_hidden: Mapped[int] = mapped_column(comment="width of a dense feed-forward layer")
    vocab: Mapped[int] = mapped_column(comment="rows of the token embedding")
    gated: Mapped[bool] = mapped_column(comment="whether the feed-forward has a gate")
    activation: Mapped[str] = mapped_column(String(20), comment="silu, gelu, gelu_tanh, gelu_new, relu, relu2 …")
    mixer: Mapped[str] = mapped_column(String(40), comment="sublayer that mixes tokens")
    feed_forward: Mapped[str] = mapped_column(String(40), comment="sublayer of a dense layer")
    norm: Mapped[str] = mapped_column(String(20), comment="kind of norm")
    norms_per_layer: Mapped[int] = mapped_column(comment="norms in a layer, besides those of queries and keys")
    final_norm: Mapped[bool] = mapped_column(comment="a norm before the head")
    embedding_norm: Mapped[bool] = mapped_column(comment="a norm after the token embedding")
    position: Mapped[str] = mapped_column(String(10), comment="rope, learned, alibi or none")
    learned_positions: Mapped[int] = mapped_column(comment="rows of a learned position table; 0: none")
    embedding_width: Mapped[int | None] = mapped_column(comment="width of the token embedding where it is narrower")
    tied_embeddings: Mapped[bool] = mapped_column(comment="the head shares the token embedding")
    qkv_bias: Mapped[bool] = mapped_column(comment="biases of queries, keys, values")
    attention_out_bias: Mapped[bool] = mapped_column(comment="bias of the attention's output")
    mlp_bias: Mapped[bool] = mapped_column(comment="biases of the feed-forward")
    head_bias: Mapped[bool] = mapped_column(comment="bias of the head")
    qk_norm: Mapped[str] = mapped_column(String(5), comment="norm of queries and keys: none, head or full")
    parallel_residual: Mapped[bool] = mapped_column(comment="attention and feed-forward run side by side")
    logit_softcap: Mapped[bool] = mapped_column(comment="soft cap on the logits")
    attention_softcap: Mapped[bool] = mapped_column(comment="soft cap on attention scores")
    attention_sinks: Mapped[bool] = mapped_column(comment="one learned sink per head")
    partial_rotary: Mapped[bool] = mapped_column(comment="only a part of each head is rotated")
    fused_qkv: Mapped[bool] = mapped_column(comment="queries, keys and values in one projection in the reference code")
    dropout: Mapped[bool] = mapped_column(comment="trained with dropout")
    window: Mapped[int | None] = mapped_column(comment="tokens in a sliding window")
    window_layers: Mapped[int] = mapped_column(comment="layers with the window")
    max_seq_len: Mapped[int | None] = mapped_column(comment="longest sequence; NULL: not stated")
    moe_experts: Mapped[int | None] = mapped_column(comment="routed experts; NULL: a dense model")
    moe_topk: Mapped[int | None] = mapped_column(comment="experts that a token visits")
    moe_expert_ffn: Mapped[int | None] = mapped_column(comment="width of one expert")
    moe_shared_ffn: Mapped[int | None] = mapped_column(comment="total width of experts that every token visits")
    moe_shared_gate: Mapped[bool | None] = mapped_column(comment="a gate on the shared experts")
    moe_router_bias: Mapped[bool | None] = mapped_column(comment="bias of the router")
    moe_router_float32: Mapped[bool | None] = mapped_column(comment="the reference code computes the router in float32")
    moe_expert_bias: Mapped[bool | None] = mapped_column(comment="biases of the experts")
    moe_first_k_dense: Mapped[int | None] = mapped_column(comment="dense layers at the start")
    moe_interval: Mapped[int | None] = mapped_column(comment="every n-th later layer is routed")
    mla_q_rank: Mapped[int | None] = mapped_column(comment="rank of compressed queries; NULL: not compressed")
    mla_kv_rank: Mapped[int | None] = mapped_column(comment="rank of compressed keys and values; NULL: no MLA")
    mla_nope_dim: Mapped[int | None] = mapped_column(comment="head width without rotation")
    mla_rope_dim: Mapped[int | None] = mapped_column(comment="head width with rotation")
    mla_v_dim: Mapped[int | None] = mapped_column(comment="head width of values")
    mtp_layers: Mapped[int] = mapped_column(comment="multi-token prediction layers")
