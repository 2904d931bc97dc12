"""The catalog's tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("core",)
depends_on = None

SLUG = sa.String(120)
LAYER = sa.String(40)
SHARED = sa.text("layer <> 'user'")
SIZES = (
    "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "vocab", "embedding_width", "window",
    "max_seq_len", "moe_experts", "moe_topk", "moe_expert_ffn", "moe_interval", "mla_q_rank", "mla_kv_rank",
    "mla_nope_dim", "mla_rope_dim", "mla_v_dim",
)  # fmt: skip
COUNTS = (
    "norms_per_layer", "learned_positions", "window_layers", "moe_shared_ffn", "moe_first_k_dense", "mtp_layers",
)  # fmt: skip
ACCELERATOR_AMOUNTS = (
    "capacity_bytes", "usable_bytes", "memory_bandwidth_bytes_per_s", "tdp_w", "compute_units",
    "scaleup_bytes_per_s", "scaleup_domain", "pcie_bytes_per_s",
)  # fmt: skip
NODE_AMOUNTS = (
    "accelerators_per_node", "scaleup_domain", "nic_count", "network_bytes_per_s", "host_memory_bytes", "vcpus",
)  # fmt: skip
TABLES = (
    "alias", "catalog_state", "release", "source", "architecture", "link", "vendor", "accelerator", "efficiency",
    "node", "peak_rate", "cluster", "price",
)  # fmt: skip
"""Those that others refer to come first."""


def upgrade() -> None:
    """Create every table."""
    _book_keeping()
    _architecture()
    _link_and_vendor()
    _accelerator()
    _peak_rate()
    _efficiency()
    _node()
    _cluster_and_price()


def downgrade() -> None:
    """Drop every table, those that refer to others first."""
    for table in reversed(TABLES):
        op.drop_table(table)


def required(name: str, kind: Any, comment: str) -> sa.Column[Any]:  # noqa: ANN401 - any type of SQLAlchemy
    """A column that is never NULL."""
    return sa.Column(name, kind, nullable=False, comment=comment)


def optional(name: str, kind: Any, comment: str) -> sa.Column[Any]:  # noqa: ANN401 - any type of SQLAlchemy
    """A column in which NULL means unknown or absent."""
    return sa.Column(name, kind, nullable=True, comment=comment)


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    """A named constraint of `table`."""
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def positive(table: str, *columns: str) -> list[sa.CheckConstraint]:
    """Constraints: each column is above zero, or unknown. Quoted, since window is a word of PostgreSQL's."""
    return [check(table, f"{column}_positive", f'"{column}" > 0') for column in columns]


def not_negative(table: str, *columns: str) -> list[sa.CheckConstraint]:
    """Constraints: each column is zero or more, or unknown."""
    return [check(table, f"{column}_not_negative", f'"{column}" >= 0') for column in columns]


def refers(
    table: str, column: str, target: str, *, layer: str | None = None, ondelete: str | None = None
) -> sa.ForeignKeyConstraint:
    """A reference of `column` by slug and layer to `target`."""
    return sa.ForeignKeyConstraint(
        [column, layer or f"{column}_layer"],
        [f"{target}.slug", f"{target}.layer"],
        name=op.f(f"fk_{table}_{column}_{target}"),
        ondelete=ondelete,
    )


def identity() -> tuple[sa.Column[Any], ...]:
    """The columns of every table of facts."""
    return (
        required("slug", SLUG, "identity, as people type it"),
        required("layer", LAYER, "vendor, a plugin's branch label, or user"),
        required("name", sa.Text(), "for people"),
        optional("document", SLUG, "slug of the main source document"),
        optional("document_layer", LAYER, "layer of the document; NULL in the user layer"),
        required("source", sa.Text(), "where the row was read, in full"),
        optional("source_date", sa.String(10), "when the source said so: a day, month or year"),
        required("confidence", sa.String(10), "high, medium or low"),
        required("note", sa.Text(), "doubts, contradictions, what was corrected"),
    )


def provenance(table: str) -> tuple[sa.Constraint, ...]:
    """The constraints of every table of facts."""
    return (
        refers(table, "document", "source"),
        check(table, "confidence_known", "confidence IN ('high', 'medium', 'low')"),
        check(table, "source_date_iso", "source_date IS NULL OR length(source_date) IN (4, 7, 10)"),
        check(table, "slug_not_empty", "slug <> ''"),
    )


def _book_keeping() -> None:
    op.create_table(
        "alias",
        required("kind", sa.String(20), "models, accelerators, nodes, clusters …"),
        required("key", sa.Text(), "the name without case, punctuation, parentheses"),
        required("layer", LAYER, "vendor, a plugin's branch label, or user"),
        required("alias", sa.Text(), "the name as written"),
        required("slug", SLUG, "the entry"),
        required("role", sa.String(5), "slug or alias"),
        sa.PrimaryKeyConstraint("kind", "key", "layer", name="pk_alias"),
        check("alias", "role_known", "role IN ('slug', 'alias')"),
    )
    op.create_index("ix_alias_slug", "alias", ["kind", "slug"])
    op.create_index(
        "uq_alias_kind_key_shared", "alias", ["kind", "key"],
        unique=True, sqlite_where=SHARED, postgresql_where=SHARED,
    )  # fmt: skip
    op.create_table(
        "catalog_state",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False, comment="always 1"),
        required("known_revisions", sa.Text(), "compared at start-up to do without Alembic"),
        sa.PrimaryKeyConstraint("id", name="pk_catalog_state"),
        check("catalog_state", "one_row", "id = 1"),
    )
    op.create_table(
        "release",
        required("slug", SLUG, "year and month, as 2026-11"),
        required("layer", LAYER, "vendor or a plugin's branch label"),
        required("revision", sa.String(60), "the revision that brought it"),
        required("released_on", sa.String(10), "ISO date"),
        required("note", sa.Text(), "what is new"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_release"),
    )
    op.create_table(
        "source",
        required("slug", SLUG, "identity"),
        required("layer", LAYER, "vendor, a plugin's branch label, or user"),
        required("name", sa.Text(), "title, with version or commit"),
        required("kind", sa.String(20), "repository, documentation, paper, dataset, constructed"),
        required("licence", sa.Text(), "licence of the source, where stated"),
        required("note", sa.Text(), "what the source is good for"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_source"),
    )


def _architecture_shape() -> tuple[sa.Column[Any], ...]:
    return (
        required("family", sa.Text(), "as the source groups its models"),
        required("layers", sa.Integer(), "decoder layers"),
        required("hidden", sa.Integer(), "width of the residual stream"),
        required("heads", sa.Integer(), "query heads"),
        required("kv_heads", sa.Integer(), "key and value heads"),
        required("head_dim", sa.Integer(), "width of one head"),
        required("ffn_hidden", sa.Integer(), "width of a dense feed-forward layer"),
        required("vocab", sa.Integer(), "rows of the token embedding"),
        required("gated", sa.Boolean(), "whether the feed-forward has a gate"),
        required("activation", sa.String(20), "silu, gelu, gelu_tanh, gelu_new, relu, relu2 …"),
        required("mixer", LAYER, "sublayer that mixes tokens"),
        required("feed_forward", LAYER, "sublayer of a dense layer"),
        required("norm", sa.String(20), "kind of norm"),
        required("norms_per_layer", sa.Integer(), "norms in a layer, besides those of queries and keys"),
    )


def _architecture_variant() -> tuple[sa.Column[Any], ...]:
    return (
        required("final_norm", sa.Boolean(), "a norm before the head"),
        required("embedding_norm", sa.Boolean(), "a norm after the token embedding"),
        required("position", sa.String(10), "rope, learned, alibi or none"),
        required("learned_positions", sa.Integer(), "rows of a learned position table; 0: none"),
        optional("embedding_width", sa.Integer(), "width of the token embedding where it is narrower"),
        required("tied_embeddings", sa.Boolean(), "the head shares the token embedding"),
        required("qkv_bias", sa.Boolean(), "biases of queries, keys, values"),
        required("attention_out_bias", sa.Boolean(), "bias of the attention's output"),
        required("mlp_bias", sa.Boolean(), "biases of the feed-forward"),
        required("head_bias", sa.Boolean(), "bias of the head"),
        required("qk_norm", sa.String(5), "norm of queries and keys: none, head or full"),
        required("parallel_residual", sa.Boolean(), "attention and feed-forward run side by side"),
        required("logit_softcap", sa.Boolean(), "soft cap on the logits"),
        required("attention_softcap", sa.Boolean(), "soft cap on attention scores"),
        required("attention_sinks", sa.Boolean(), "one learned sink per head"),
        required("partial_rotary", sa.Boolean(), "only a part of each head is rotated"),
        required("fused_qkv", sa.Boolean(), "queries, keys and values in one projection in the reference code"),
        required("dropout", sa.Boolean(), "trained with dropout"),
        optional("window", sa.Integer(), "tokens in a sliding window"),
        required("window_layers", sa.Integer(), "layers with the window"),
        optional("max_seq_len", sa.Integer(), "longest sequence; NULL: not stated"),
        required("mtp_layers", sa.Integer(), "multi-token prediction layers"),
    )


def _architecture_extras() -> tuple[sa.Column[Any], ...]:
    return (
        optional("moe_experts", sa.Integer(), "routed experts; NULL: a dense model"),
        optional("moe_topk", sa.Integer(), "experts that a token visits"),
        optional("moe_expert_ffn", sa.Integer(), "width of one expert"),
        optional("moe_shared_ffn", sa.Integer(), "total width of experts that every token visits"),
        optional("moe_shared_gate", sa.Boolean(), "a gate on the shared experts"),
        optional("moe_router_bias", sa.Boolean(), "bias of the router"),
        optional("moe_router_float32", sa.Boolean(), "the reference code computes the router in float32"),
        optional("moe_expert_bias", sa.Boolean(), "biases of the experts"),
        optional("moe_first_k_dense", sa.Integer(), "dense layers at the start"),
        optional("moe_interval", sa.Integer(), "every n-th later layer is routed"),
        optional("mla_q_rank", sa.Integer(), "rank of compressed queries; NULL: not compressed"),
        optional("mla_kv_rank", sa.Integer(), "rank of compressed keys and values; NULL: no MLA"),
        optional("mla_nope_dim", sa.Integer(), "head width without rotation"),
        optional("mla_rope_dim", sa.Integer(), "head width with rotation"),
        optional("mla_v_dim", sa.Integer(), "head width of values"),
    )


def _architecture() -> None:
    op.create_table(
        "architecture",
        *identity(),
        *_architecture_shape(),
        *_architecture_variant(),
        *_architecture_extras(),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_architecture"),
        *positive("architecture", *SIZES),
        *not_negative("architecture", *COUNTS),
        check("architecture", "kv_heads_at_most_heads", "kv_heads <= heads"),
        check("architecture", "norm_known", "norm IN ('rmsnorm', 'layernorm', 'layernorm-nobias', 'nonparametric')"),
        check("architecture", "position_known", "position IN ('rope', 'learned', 'alibi', 'none')"),
        check("architecture", "qk_norm_known", "qk_norm IN ('none', 'head', 'full')"),
        check("architecture", "topk_at_most_experts", "moe_topk <= moe_experts"),
        check("architecture", "window_layers_at_most_layers", "window_layers <= layers"),
        *provenance("architecture"),
    )


def _link_and_vendor() -> None:
    op.create_table(
        "link",
        *identity(),
        required("kind", sa.String(10), "scale-up, host or network"),
        optional(
            "bytes_per_s", sa.Double(), "one accelerator's links (or one network port), one direction; NULL: unknown"
        ),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_link"),
        *positive("link", "bytes_per_s"),
        check("link", "kind_known", "kind IN ('scale-up', 'host', 'network')"),
        *provenance("link"),
    )
    op.create_table(
        "vendor",
        *identity(),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_vendor"),
        *provenance("vendor"),
    )


def _accelerator() -> None:
    op.create_table(
        "accelerator",
        *identity(),
        required("vendor", SLUG, "slug of the vendor"),
        optional("vendor_layer", LAYER, "layer of the vendor; NULL in the user layer"),
        required("architecture", sa.Text(), "chip generation"),
        required("year", sa.Integer(), "year of release"),
        required("form_factor", sa.Text(), "SXM, PCIe, OAM, superchip …"),
        required("capacity_bytes", sa.BigInteger(), "memory on the label"),
        optional("usable_bytes", sa.BigInteger(), "memory that the driver offers; NULL: unknown"),
        required("memory_type", sa.Text(), "HBM3, GDDR6 …"),
        required("memory_bandwidth_bytes_per_s", sa.Double(), "peak memory bandwidth"),
        optional("tdp_w", sa.Double(), "board or module power; NULL: unknown"),
        optional("compute_units", sa.Integer(), "SMs, CUs, cores; NULL: unknown"),
        optional("scaleup_link", SLUG, "slug of the scale-up link; NULL: none"),
        optional("scaleup_link_layer", LAYER, "layer of the link; NULL in the user layer"),
        optional(
            "scaleup_bytes_per_s", sa.Double(), "bandwidth to the scale-up domain, one direction; NULL: none or unknown"
        ),
        required("scaleup_domain", sa.Integer(), "most accelerators that the link joins; 1: no such link"),
        optional("pcie_bytes_per_s", sa.Double(), "host link, one direction; NULL: unknown"),
        optional("reference_node", SLUG, "slug of the node meant by a bare accelerator"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_accelerator"),
        refers("accelerator", "scaleup_link", "link"),
        refers("accelerator", "vendor", "vendor"),
        *positive("accelerator", *ACCELERATOR_AMOUNTS),
        check("accelerator", "usable_at_most_capacity", "usable_bytes <= capacity_bytes"),
        check("accelerator", "year_plausible", "year BETWEEN 2000 AND 2100"),
        *provenance("accelerator"),
    )


def _efficiency() -> None:
    op.create_table(
        "efficiency",
        required("accelerator", SLUG, "slug of the accelerator"),
        required("layer", LAYER, "vendor, a plugin's branch label, or user"),
        required("metric", LAYER, "matmul_mamf, gemm_best, gemm_median_large, nccl_busbw …"),
        required("format", sa.String(20), "number format, or the collective"),
        required("condition", sa.Text(), "scope, shapes or sizes, software"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        required("fraction", sa.Double(), "achieved ÷ peak"),
        optional("achieved_per_s", sa.Double(), "FLOP/s, or bytes/s for bandwidths"),
        optional("document", SLUG, "slug of the source document"),
        optional("document_layer", LAYER, "layer of the document; NULL in the user layer"),
        required("source", sa.Text(), "where it was read"),
        optional("source_date", sa.String(10), "when it was measured or published"),
        required("note", sa.Text(), "doubts"),
        sa.PrimaryKeyConstraint("accelerator", "layer", "metric", "format", "condition", name="pk_efficiency"),
        refers("efficiency", "accelerator", "accelerator"),
        refers("efficiency", "document", "source"),
        *positive("efficiency", "fraction", "achieved_per_s"),
        check("efficiency", "fraction_plausible", "fraction <= 1.2"),
    )


def _node() -> None:
    op.create_table(
        "node",
        *identity(),
        required("provider", sa.Text(), "who sells it"),
        required("kind", sa.String(20), "on-prem, cloud-vm, bare-metal, cloud-tpu, constructed"),
        required("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        required("accelerators_per_node", sa.Integer(), "accelerators in the node"),
        required("scaleup_domain", sa.Integer(), "accelerators that the link joins, across nodes; 1: none"),
        required("intra_node_topology", sa.Text(), "how they are joined"),
        optional("nic_count", sa.Integer(), "network ports for training traffic; NULL: unknown"),
        optional("network_bytes_per_s", sa.Double(), "the whole node's network, one direction; NULL: unknown or none"),
        optional("host_memory_bytes", sa.BigInteger(), "host memory; NULL: unknown"),
        optional("vcpus", sa.Integer(), "host threads; NULL: unknown"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_node"),
        refers("node", "accelerator", "accelerator"),
        *positive("node", *NODE_AMOUNTS),
        *provenance("node"),
    )


def _peak_rate() -> None:
    op.create_table(
        "peak_rate",
        required("accelerator", SLUG, "slug of the accelerator"),
        required("layer", LAYER, "layer of the accelerator"),
        required("format", sa.String(20), "fp32, tf32, bf16, fp8, int8 …"),
        required("flop_per_s", sa.Double(), "dense peak"),
        sa.PrimaryKeyConstraint("accelerator", "layer", "format", name="pk_peak_rate"),
        refers("peak_rate", "accelerator", "accelerator", layer="layer", ondelete="CASCADE"),
        *positive("peak_rate", "flop_per_s"),
    )


def _cluster_and_price() -> None:
    op.create_table(
        "cluster",
        *identity(),
        required("node", SLUG, "slug of the node type"),
        optional("node_layer", LAYER, "layer of the node type; NULL in the user layer"),
        required("nodes", sa.Integer(), "nodes in the pool"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_cluster"),
        refers("cluster", "node", "node"),
        *positive("cluster", "nodes"),
        *provenance("cluster"),
    )
    op.create_table(
        "price",
        *identity(),
        required("accelerator", SLUG, "slug of the accelerator"),
        optional("accelerator_layer", LAYER, "layer of the accelerator; NULL in the user's"),
        optional("node", SLUG, "slug of the node that is sold; NULL: unknown"),
        optional("node_layer", LAYER, "layer of the node"),
        optional("cluster", SLUG, "slug of the cluster that has this price"),
        optional("cluster_layer", LAYER, "layer of the cluster"),
        required("provider", sa.Text(), "who sells it"),
        required("region", sa.Text(), "where"),
        required("kind", sa.String(20), "on-demand, spot, reserved, calendar, capacity-block"),
        required("usd_per_accelerator_hour", sa.Double(), "US dollars"),
        required("date", sa.String(10), "when it was true; a year where no more is known"),
        required("superseded", sa.Boolean(), "the source itself calls the price historical"),
        sa.PrimaryKeyConstraint("slug", "layer", name="pk_price"),
        refers("price", "accelerator", "accelerator"),
        refers("price", "cluster", "cluster"),
        refers("price", "node", "node"),
        *positive("price", "usd_per_accelerator_hour"),
        check("price", "date_iso", "length(date) IN (4, 7, 10)"),
        *provenance("price"),
    )
    op.create_index("ix_price_accelerator", "price", ["accelerator", "kind"])
