"""Accelerators, the nodes that hold them, the clusters that hold the nodes, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CALIBRATED_ARITHMETIC: Final = "calibrated_arithmetic"
CALIBRATED_NETWORK: Final = "calibrated_network"
CALIBRATED: Final = (CALIBRATED_ARITHMETIC, CALIBRATED_NETWORK)
"""Metrics of an `Efficiency` that measured runs of a user's own gave: what multiplies the predicted arithmetic rate of an
accelerator, and the rate of its share of the network between nodes (`planner calibrate`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """A published fraction of a peak that was reached, with the conditions it was reached under."""

    metric: str
    format: str
    fraction: float
    source: str
    condition: str = ""
    source_date: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One accelerator as its vendor sells it.

    `peak_flop_per_s` maps a number format (``bf16``, ``fp8`` …) to the dense rate; a format without a rate is absent.
    `capacity_bytes` is what the label says, `usable_bytes` what the driver offers (None: not published).
    `scaleup_bytes_per_s` is one accelerator's bandwidth to its scale-up domain, one direction (None: no such link).
    """

    slug: str
    name: str
    vendor: str
    architecture: str
    year: int
    form_factor: str
    capacity_bytes: int
    usable_bytes: int | None
    memory_bandwidth_bytes_per_s: float
    peak_flop_per_s: Mapping[str, float]
    tdp_w: float | None = None
    compute_units: int | None = None
    scaleup_link: str | None = None
    scaleup_bytes_per_s: float | None = None
    scaleup_domain: int = 1
    pcie_bytes_per_s: float | None = None
    reference_node: str | None = None
    efficiencies: tuple[Efficiency, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def memory_bytes(self) -> int:
        """The memory that a fit is checked against: the usable part where it is known, else the capacity."""
        return self.capacity_bytes if self.usable_bytes is None else self.usable_bytes

    @property
    def calibrations(self) -> tuple[Efficiency, ...]:
        """The rows of the newest calibration, which is one set: what it did not fit is as predicted."""
        rows = [row for row in self.efficiencies if row.metric in CALIBRATED]
        newest = max((row.source_date or "" for row in rows), default="")
        return tuple(sorted((row for row in rows if (row.source_date or "") == newest), key=lambda row: row.metric))

    def calibrated(self, metric: str) -> float:
        """The factor that calibration puts on `metric`; 1 where there was none."""
        return next((row.fraction for row in self.calibrations if row.metric == metric), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one accelerator costs for an hour, when and where."""

    usd_per_accelerator_hour: float
    kind: str
    provider: str
    date: str
    source: str
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusBandwidths:
    """What the collectives of one group reached on a cluster, by the number of nodes that it spanned: pairs of nodes, rising, and
    bus bandwidth [byte/s] (NVIDIA/nccl-tests, doc/PERFORMANCE.md); `gather` is of all-gathers and reduce-scatters."""

    all_reduce: tuple[tuple[int, float], ...] = ()
    gather: tuple[tuple[int, float], ...] = ()


UNMEASURED: Final = BusBandwidths()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A server or a cloud instance.

    `scaleup_domain` counts the accelerators joined by the scale-up link, across nodes in a rack-scale system.
    `network_bytes_per_s` is the node's whole network bandwidth, one direction (None: unknown or no network).
    """

    slug: str
    name: str
    provider: str
    accelerator: str
    accelerators_per_node: int
    scaleup_domain: int
    intra_node_topology: str
    nic_count: int | None = None
    network_bytes_per_s: float | None = None
    host_memory_bytes: int | None = None
    price: Price | None = None
    synthetic: bool = False
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A pool of equal nodes: what a job may use; and what collectives reached there, where someone measured it."""

    slug: str
    name: str
    accelerator: Accelerator
    node: Node
    nodes: int
    price: Price | None = None
    measured: BusBandwidths = UNMEASURED
    source: str = ""
    note: str = ""
    aliases: tuple[str, ...] = field(default=())

    @property
    def accelerators(self) -> int:
        """All accelerators of the pool."""
        return self.nodes * self.node.accelerators_per_node
