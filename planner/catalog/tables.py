"""The catalog's tables: models, hardware and prices; those of operation are in `operation_tables`."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from planner.catalog.declarations import (
    LAYER,
    SLUG,
    USER_LAYER,
    VENDOR_LAYER,
    Base,
    Fact,
    fact,
    not_negative,
    positive,
    refers,
)
from planner.catalog.operation_tables import (
    CarbonIntensity,
    CheckpointWrite,
    FailureRate,
    Footprint,
    Goodput,
    PowerDraw,
    PowerUsageEffectiveness,
)

__all__ = [
    "USER_LAYER",
    "VENDOR_LAYER",
    "Accelerator",
    "Alias",
    "Architecture",
    "Base",
    "CarbonIntensity",
    "CatalogState",
    "CheckpointWrite",
    "Cluster",
    "Efficiency",
    "FailureRate",
    "Footprint",
    "Goodput",
    "Link",
    "Node",
    "PeakRate",
    "PowerDraw",
    "PowerUsageEffectiveness",
    "Price",
    "Release",
    "Source",
    "Vendor",
]


class Source(Base):
    """A document, repository or data set that facts were read from."""

    __tablename__ = "source"

    slug: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="identity")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="vendor, a plugin's branch label, or user")
    name: Mapped[str] = mapped_column(Text, comment="title, with version or commit")
    kind: Mapped[str] = mapped_column(String(20), comment="repository, documentation, paper, dataset, constructed")
    licence: Mapped[str] = mapped_column(Text, default="", comment="licence of the source, where stated")
    note: Mapped[str] = mapped_column(Text, default="", comment="what the source is good for")


class Release(Base):
    """A dated set of facts that a data revision brought in."""

    __tablename__ = "release"

    slug: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="year and month, as 2026-11")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="vendor or a plugin's branch label")
    revision: Mapped[str] = mapped_column(String(60), comment="the revision that brought it")
    released_on: Mapped[str] = mapped_column(String(10), comment="ISO date")
    note: Mapped[str] = mapped_column(Text, default="", comment="what is new")


class CatalogState(Base):
    """One row: the revisions that the program knew when it last upgraded or downgraded this database."""

    __tablename__ = "catalog_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="always 1")
    known_revisions: Mapped[str] = mapped_column(Text, comment="compared at start-up to do without Alembic")


class Alias(Base):
    """Every name that an entry answers to; its slug is one of them, so slugs and aliases are unique together."""

    __tablename__ = "alias"
    __table_args__ = (
        CheckConstraint("role IN ('slug', 'alias')", name="role_known"),
        Index("ix_alias_slug", "kind", "slug"),
        # Released and plugin names must not clash; the user's layer may shadow both.
        Index(
            "uq_alias_kind_key_shared", "kind", "key", unique=True,
            sqlite_where=text("layer <> 'user'"), postgresql_where=text("layer <> 'user'"),
        ),
    )  # fmt: skip

    kind: Mapped[str] = mapped_column(String(20), primary_key=True, comment="models, accelerators, nodes, clusters …")
    key: Mapped[str] = mapped_column(Text, primary_key=True, comment="the name without case, punctuation, parentheses")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="vendor, a plugin's branch label, or user")
    alias: Mapped[str] = mapped_column(Text, comment="the name as written")
    slug: Mapped[str] = mapped_column(SLUG, comment="the entry")
    role: Mapped[str] = mapped_column(String(5), comment="slug or alias")


class Vendor(Fact, Base):
    """A maker of accelerators."""

    __tablename__ = "vendor"
    __table_args__ = fact()


class Link(Fact, Base):
    """A kind of link between accelerators, or to their host."""

    __tablename__ = "link"
    __table_args__ = fact(
        *positive("bytes_per_s"), CheckConstraint("kind IN ('scale-up', 'host', 'network')", name="kind_known")
    )

    kind: Mapped[str] = mapped_column(String(10), comment="scale-up, host or network")
    bytes_per_s: Mapped[float | None] = mapped_column(
        comment="one accelerator's links (or one network port), one direction; NULL: unknown"
    )


class Architecture(Fact, Base):
    """Hyper-parameters of a language model; the columns are the fields of `planner.domain.architecture`."""

    __tablename__ = "architecture"
    __table_args__ = fact(
        *positive(
            "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "vocab", "embedding_width", "window",
            "max_seq_len", "moe_experts", "moe_topk", "moe_expert_ffn", "moe_interval", "mla_q_rank", "mla_kv_rank",
            "mla_nope_dim", "mla_rope_dim", "mla_v_dim",
        ),
        *not_negative(
            "norms_per_layer", "learned_positions", "window_layers", "mtp_layers", "moe_shared_ffn", "moe_first_k_dense"
        ),
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


class Accelerator(Fact, Base):
    """One accelerator as its vendor sells it."""

    __tablename__ = "accelerator"
    __table_args__ = fact(
        *positive(
            "capacity_bytes", "usable_bytes", "memory_bandwidth_bytes_per_s", "tdp_w", "compute_units",
            "scaleup_bytes_per_s", "scaleup_domain", "pcie_bytes_per_s",
        ),
        CheckConstraint("year BETWEEN 2000 AND 2100", name="year_plausible"),
        CheckConstraint("usable_bytes <= capacity_bytes", name="usable_at_most_capacity"),
        refers("vendor", "vendor"),
        refers("scaleup_link", "link"),
    )  # fmt: skip

    vendor: Mapped[str] = mapped_column(SLUG, comment="slug of the vendor")
    vendor_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the vendor; NULL in the user layer")
    architecture: Mapped[str] = mapped_column(Text, comment="chip generation")
    year: Mapped[int] = mapped_column(comment="year of release")
    form_factor: Mapped[str] = mapped_column(Text, comment="SXM, PCIe, OAM, superchip …")
    capacity_bytes: Mapped[int] = mapped_column(BigInteger, comment="memory on the label")
    usable_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="memory that the driver offers; NULL: unknown")
    memory_type: Mapped[str] = mapped_column(Text, comment="HBM3, GDDR6 …")
    memory_bandwidth_bytes_per_s: Mapped[float] = mapped_column(comment="peak memory bandwidth")
    tdp_w: Mapped[float | None] = mapped_column(comment="board or module power; NULL: unknown")
    compute_units: Mapped[int | None] = mapped_column(comment="SMs, CUs, cores; NULL: unknown")
    scaleup_link: Mapped[str | None] = mapped_column(SLUG, comment="slug of the scale-up link; NULL: none")
    scaleup_link_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the link; NULL in the user layer")
    scaleup_bytes_per_s: Mapped[float | None] = mapped_column(
        comment="bandwidth to the scale-up domain, one direction; NULL: none or unknown"
    )
    scaleup_domain: Mapped[int] = mapped_column(comment="most accelerators that the link joins; 1: no such link")
    pcie_bytes_per_s: Mapped[float | None] = mapped_column(comment="host link, one direction; NULL: unknown")
    # Not a foreign key: nodes refer to accelerators, and two tables that need each other cannot be filled in order.
    reference_node: Mapped[str | None] = mapped_column(SLUG, comment="slug of the node meant by a bare accelerator")


class PeakRate(Base):
    """The dense rate of an accelerator in one number format. A sparse rate is never stored."""

    __tablename__ = "peak_rate"
    __table_args__ = (
        refers("accelerator", "accelerator", layer="layer", ondelete="CASCADE"),
        *positive("flop_per_s"),
    )

    accelerator: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="slug of the accelerator")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="layer of the accelerator")
    format: Mapped[str] = mapped_column(String(20), primary_key=True, comment="fp32, tf32, bf16, fp8, int8 …")
    flop_per_s: Mapped[float] = mapped_column(comment="dense peak")


class Efficiency(Base):
    """A published fraction of a peak that was reached."""

    __tablename__ = "efficiency"
    __table_args__ = (
        refers("accelerator", "accelerator"),
        refers("document", "source"),
        *positive("fraction", "achieved_per_s"),
        # Reduction inside the switch lets an all-reduce pass the link's own rate by a little.
        CheckConstraint("fraction <= 1.2", name="fraction_plausible"),
    )

    accelerator: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="slug of the accelerator")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="vendor, a plugin's branch label, or user")
    metric: Mapped[str] = mapped_column(
        String(40), primary_key=True, comment="matmul_mamf, gemm_best, gemm_median_large, nccl_busbw …"
    )
    format: Mapped[str] = mapped_column(String(20), primary_key=True, comment="number format, or the collective")
    condition: Mapped[str] = mapped_column(Text, primary_key=True, comment="scope, shapes or sizes, software")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    fraction: Mapped[float] = mapped_column(comment="achieved ÷ peak")
    achieved_per_s: Mapped[float | None] = mapped_column(comment="FLOP/s, or bytes/s for bandwidths")
    document: Mapped[str | None] = mapped_column(SLUG, comment="slug of the source document")
    document_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the document; NULL in the user layer")
    source: Mapped[str] = mapped_column(Text, comment="where it was read")
    source_date: Mapped[str | None] = mapped_column(String(10), comment="when it was measured or published")
    note: Mapped[str] = mapped_column(Text, default="", comment="doubts")


class Node(Fact, Base):
    """A server or a cloud instance."""

    __tablename__ = "node"
    __table_args__ = fact(
        *positive(
            "accelerators_per_node", "scaleup_domain", "nic_count", "network_bytes_per_s", "host_memory_bytes", "vcpus"
        ),
        refers("accelerator", "accelerator"),
    )

    provider: Mapped[str] = mapped_column(Text, comment="who sells it")
    kind: Mapped[str] = mapped_column(String(20), comment="on-prem, cloud-vm, bare-metal, cloud-tpu, constructed")
    accelerator: Mapped[str] = mapped_column(SLUG, comment="slug of the accelerator")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    accelerators_per_node: Mapped[int] = mapped_column(comment="accelerators in the node")
    scaleup_domain: Mapped[int] = mapped_column(comment="accelerators that the link joins, across nodes; 1: none")
    intra_node_topology: Mapped[str] = mapped_column(Text, comment="how they are joined")
    nic_count: Mapped[int | None] = mapped_column(comment="network ports for training traffic; NULL: unknown")
    network_bytes_per_s: Mapped[float | None] = mapped_column(
        comment="the whole node's network, one direction; NULL: unknown or none"
    )
    host_memory_bytes: Mapped[int | None] = mapped_column(BigInteger, comment="host memory; NULL: unknown")
    vcpus: Mapped[int | None] = mapped_column(comment="host threads; NULL: unknown")


class Cluster(Fact, Base):
    """A pool of equal nodes."""

    __tablename__ = "cluster"
    __table_args__ = fact(*positive("nodes"), refers("node", "node"))

    node: Mapped[str] = mapped_column(SLUG, comment="slug of the node type")
    node_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the node type; NULL in the user layer")
    nodes: Mapped[int] = mapped_column(comment="nodes in the pool")


class Price(Fact, Base):
    """What one accelerator cost for an hour: a point of a dated series."""

    __tablename__ = "price"
    __table_args__ = fact(
        *positive("usd_per_accelerator_hour"),
        CheckConstraint("length(date) IN (4, 7, 10)", name="date_iso"),
        refers("accelerator", "accelerator"),
        refers("node", "node"),
        refers("cluster", "cluster"),
        Index("ix_price_accelerator", "accelerator", "kind"),
    )

    accelerator: Mapped[str] = mapped_column(SLUG, comment="slug of the accelerator")
    accelerator_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the accelerator; NULL in the user's")
    node: Mapped[str | None] = mapped_column(SLUG, comment="slug of the node that is sold; NULL: unknown")
    node_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the node")
    cluster: Mapped[str | None] = mapped_column(SLUG, comment="slug of the cluster that has this price")
    cluster_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the cluster")
    provider: Mapped[str] = mapped_column(Text, comment="who sells it")
    region: Mapped[str] = mapped_column(Text, comment="where")
    kind: Mapped[str] = mapped_column(String(20), comment="on-demand, spot, reserved, calendar, capacity-block")
    usd_per_accelerator_hour: Mapped[float] = mapped_column(comment="US dollars")
    date: Mapped[str] = mapped_column(String(10), comment="when it was true; a year where no more is known")
    superseded: Mapped[bool] = mapped_column(comment="the source itself calls the price historical")
