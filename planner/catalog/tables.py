"""The catalog's tables: hardware and prices; models are in `architecture_table`, operation in `operation_tables`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from planner.catalog.architecture_table import Architecture
from planner.catalog.declarations import (
    LAYER,
    SLUG,
    USER_LAYER,
    VENDOR_LAYER,
    Base,
    Fact,
    at_most,
    cited,
    dated,
    fact,
    listed,
    named,
    positive,
    refers,
    truth,
    whole,
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
    "PeakSource",
    "PowerDraw",
    "PowerUsageEffectiveness",
    "Price",
    "Release",
    "Source",
    "Vendor",
]


PEAK_LIMITS: Final = {
    "fp64": 2e15, "fp32": 5e15, "tf32": 2e16, "bf16": 5e16, "fp16": 5e16, "fp8": 1e17, "int8": 1e17, "fp6": 1e17,
}  # fmt: skip
"""The most FLOP/s that one accelerator can have in a format: ten times and more what any had in 2026."""
OTHER_PEAK_LIMIT: Final = 2e17
LEAST_PEAK: Final = 1e9
"""Less is a rate in the wrong unit: 989, meant as TFLOP/s."""


def _peak_plausible() -> CheckConstraint:
    cases = " ".join(f"WHEN '{name}' THEN {limit:.0f}" for name, limit in PEAK_LIMITS.items())
    most = f"CASE format {cases} ELSE {OTHER_PEAK_LIMIT:.0f} END"
    return CheckConstraint(f"flop_per_s >= {LEAST_PEAK:.0f} AND flop_per_s <= {most}", name="flop_per_s_plausible")


class Source(Base):
    """A document, repository or data set that facts were read from."""

    __tablename__ = "source"
    __table_args__ = (CheckConstraint("name <> ''", name="name_not_empty"), *named())

    slug: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="identity")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="vendor, a plugin's branch label, or user")
    name: Mapped[str] = mapped_column(Text, comment="title, with version or commit")
    kind: Mapped[str] = mapped_column(String(20), comment="repository, documentation, paper, dataset, constructed")
    licence: Mapped[str] = mapped_column(Text, default="", comment="licence of the source, where stated")
    note: Mapped[str] = mapped_column(Text, default="", comment="what the source is good for")


class Release(Base):
    """A dated set of facts that a data revision brought in."""

    __tablename__ = "release"
    __table_args__ = (dated("released_on", day=True), *named())

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
        CheckConstraint("\"key\" <> '' AND alias <> '' AND slug <> ''", name="says_something"),
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
        *positive("bytes_per_s"),
        *at_most(1e16, "bytes_per_s"),
        CheckConstraint("kind IN ('scale-up', 'host', 'network')", name="kind_known"),
    )

    kind: Mapped[str] = mapped_column(String(10), comment="scale-up, host or network")
    bytes_per_s: Mapped[float | None] = mapped_column(
        comment="one accelerator's links (or one network port), one direction; NULL: unknown"
    )


class Accelerator(Fact, Base):
    """One accelerator as its vendor sells it."""

    __tablename__ = "accelerator"
    __table_args__ = fact(
        *positive(
            "capacity_bytes", "usable_bytes", "memory_bandwidth_bytes_per_s", "tdp_w", "compute_units",
            "scaleup_bytes_per_s", "scaleup_domain", "pcie_bytes_per_s",
        ),
        *whole(2**50, "capacity_bytes", "usable_bytes"),
        *whole(10_000_000, "compute_units", "scaleup_domain"),
        *whole(2_100, "year"),
        *at_most(1e16, "memory_bandwidth_bytes_per_s", "scaleup_bytes_per_s", "pcie_bytes_per_s"),
        *at_most(1e6, "tdp_w"),
        CheckConstraint("year BETWEEN 2000 AND 2100", name="year_plausible"),
        CheckConstraint("usable_bytes <= capacity_bytes", name="usable_at_most_capacity"),
        Index(None, "vendor", "capacity_bytes"),
        Index(None, "capacity_bytes"),
        *listed("vendor", "capacity_bytes", "year", "memory_bandwidth_bytes_per_s"),
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
        _peak_plausible(),
        Index(None, "format", "accelerator"),
        Index(None, "format", "flop_per_s", "accelerator", "layer"),
    )

    accelerator: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="slug of the accelerator")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="layer of the accelerator")
    format: Mapped[str] = mapped_column(String(20), primary_key=True, comment="fp32, tf32, bf16, fp8, int8 …")
    flop_per_s: Mapped[float] = mapped_column(comment="dense peak")


class PeakSource(Base):
    """Where one peak was read. A user's peak may have none: then its accelerator's source stands for it."""

    __tablename__ = "peak_source"
    __table_args__ = (
        ForeignKeyConstraint(
            ["accelerator", "layer", "format"],
            ["peak_rate.accelerator", "peak_rate.layer", "peak_rate.format"],
            ondelete="CASCADE",
        ),
        refers("document", "source"),
        cited("accelerator", "format", "layer"),
        CheckConstraint("source <> ''", name="source_named"),
        CheckConstraint("confidence IN ('high', 'medium', 'low')", name="confidence_known"),
        dated("source_date"),
    )

    accelerator: Mapped[str] = mapped_column(SLUG, primary_key=True, comment="slug of the accelerator")
    layer: Mapped[str] = mapped_column(LAYER, primary_key=True, comment="layer of the accelerator")
    format: Mapped[str] = mapped_column(String(20), primary_key=True, comment="fp32, tf32, bf16, fp8, int8 …")
    document: Mapped[str | None] = mapped_column(SLUG, comment="slug of the source document")
    document_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the document; NULL in the user layer")
    source: Mapped[str] = mapped_column(Text, comment="where the peak was read, or what it follows from")
    source_date: Mapped[str | None] = mapped_column(String(10), comment="when the source said so: a day, month or year")
    confidence: Mapped[str] = mapped_column(String(10), comment="high, medium or low")


class Efficiency(Base):
    """A published fraction of a peak that was reached."""

    __tablename__ = "efficiency"
    __table_args__ = (
        refers("accelerator", "accelerator"),
        refers("document", "source"),
        # Named here: with all of its columns a server would cut the name off.
        cited("accelerator", "metric", "format", "condition", "layer", name="ix_efficiency_document"),
        Index(None, "metric", "accelerator"),
        *positive("fraction", "achieved_per_s"),
        # Reduction inside the switch lets an all-reduce pass the link's own rate by a little.
        CheckConstraint("fraction <= 1.2", name="fraction_plausible"),
        *at_most(1e18, "achieved_per_s"),
        dated("source_date"),
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
        *whole(10_000_000, "accelerators_per_node", "scaleup_domain", "nic_count", "vcpus"),
        *whole(2**60, "host_memory_bytes"),
        *at_most(1e16, "network_bytes_per_s"),
        refers("accelerator", "accelerator"),
        *listed("provider", "accelerator", "accelerators_per_node", "network_bytes_per_s"),
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
    __table_args__ = fact(
        *positive("nodes"),
        *whole(1_000_000_000, "nodes"),
        refers("node", "node"),
        *listed("node", "nodes", "name"),
    )

    node: Mapped[str] = mapped_column(SLUG, comment="slug of the node type")
    node_layer: Mapped[str | None] = mapped_column(LAYER, comment="layer of the node type; NULL in the user layer")
    nodes: Mapped[int] = mapped_column(comment="nodes in the pool")


class Price(Fact, Base):
    """What one accelerator cost for an hour: a point of a dated series."""

    __tablename__ = "price"
    __table_args__ = fact(
        *positive("usd_per_accelerator_hour"),
        *at_most(10_000, "usd_per_accelerator_hour"),
        *truth("superseded"),
        dated("date"),
        refers("accelerator", "accelerator"),
        refers("node", "node"),
        refers("cluster", "cluster"),
        Index("ix_price_accelerator", "accelerator", "kind"),
        # Each provider's latest price that still counts.
        Index(None, "accelerator", "kind", "superseded", "provider", "date"),
        *listed("accelerator", "node", "provider", "kind", "usd_per_accelerator_hour", "date"),
        Index(None, "accelerator", "date"),
        Index(None, "node", "date"),
        Index(None, "cluster", "date"),
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
