"""Prices collectives on the cluster: which group, which links, how many share a network card.

A strategy says what is sent over which axes; only here does it become a group of ranks, a level of the network and
seconds. Ranks are placed tp innermost, then cp, dp, pp outermost (Megatron's order); experts' axes etp, ep, replicas
over the same ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.domain.hardware import CALIBRATED_NETWORK, UNMEASURED, BusBandwidths, Cluster
from planner.domain.mesh import Array, Layouts, Mask
from planner.formulas import collectives
from planner.formulas.collectives import Group, Link
from planner.plugin import EXPERT_REPLICAS, REPLICAS, SHARD_GROUP, Collective, Communication, PluginError
from planner.units import MIB

RANK_ORDER: Final = ("tp", "cp", "dp", "pp")
EXPERT_RANK_ORDER: Final = ("etp", "ep")

ONE_DOMAIN: Final = "one_domain"
"""Derived of a layout: 1 where all its GPUs share a scale-up domain. Groups read it rather than n_gpus, which has many values."""

SCALE_UP_LATENCY_S: Final = 3.4e-6
PCIE_LATENCY_S: Final = 5.7e-6
NETWORK_LATENCY_S: Final = 14.0e-6
"""Hop latencies of the ring algorithm with the Simple protocol: NVIDIA/nccl, src/graph/tuning.cc, hwLatencies
(NVLINK 3.4, PCI 5.7, NET 14.0 microseconds)."""

DEFAULT_SCALE_UP_EFFICIENCY: Final = 0.78
"""All-reduce bus bandwidth over link bandwidth where the catalog has no figure for the accelerator: A100 SXM4, 8 GPUs, 16 GiB,
234.89 of 300 GB/s (the catalog's efficiency rows)."""
NETWORK_EFFICIENCY: Final = 0.739
"""Share of the network cards' rate that large all-reduces reach between nodes: p6-b200, 16 GiB, derived from 381.8 GB/s of bus
bandwidth (the catalog's efficiency rows, nccl_busbw_internode)."""

CHUNK_BYTES: Final = 2.0 * MIB
"""What a rank of an NCCL ring passes on at once, over all channels: with the latencies above it gives the bus bandwidth of
nccl-tests on 8 A100s by message size, from 8 MiB up, within a quarter (stas00/ml-engineering, network/benchmarks at 744d01e1)."""


@dataclass(frozen=True, slots=True)
class Network:
    """The two levels that a cluster's ranks see: the scale-up domain and the network between domains; `exchange` is the scale-up
    domain as the library's all-to-all uses it, every rank sending to every other at once; and what collectives were measured to
    reach there, which no formula exceeds."""

    domain: int
    inner: Link
    outer: Link
    exchange: Link
    measured: BusBandwidths = UNMEASURED


def network_of(cluster: Cluster) -> Network:
    """Bandwidths that collectives reach on `cluster`. A node's network is shared evenly by its accelerators."""
    accelerator, node = cluster.accelerator, cluster.node
    per_node = node.accelerators_per_node
    pcie = accelerator.pcie_bytes_per_s
    if accelerator.scaleup_bytes_per_s and node.scaleup_domain > 1:
        domain = min(node.scaleup_domain, cluster.accelerators)
        efficiency = scale_up_efficiency(cluster)
        inner = Link(accelerator.scaleup_bytes_per_s * efficiency, SCALE_UP_LATENCY_S, CHUNK_BYTES)
        bandwidth = accelerator.scaleup_bytes_per_s * (_bus_bandwidth(cluster, "alltoall") or efficiency)
        exchange = Link(bandwidth, SCALE_UP_LATENCY_S, CHUNK_BYTES)
    else:
        domain = per_node
        inner = exchange = Link(
            (pcie or _network_share(cluster)) * DEFAULT_SCALE_UP_EFFICIENCY, PCIE_LATENCY_S, CHUNK_BYTES
        )
    between_nodes = _network_share(cluster) * accelerator.calibrated(CALIBRATED_NETWORK)
    share = between_nodes
    if domain < per_node and pcie:
        # Several scale-up islands in one node: between them data takes PCIe, or the network if that is slower.
        share = min(pcie, between_nodes) if cluster.nodes > 1 else pcie
    outer = Link(share * NETWORK_EFFICIENCY, NETWORK_LATENCY_S, CHUNK_BYTES)
    return Network(domain, inner, outer, exchange, cluster.measured)


def scale_up_efficiency(cluster: Cluster) -> float:
    """Published all-reduce bus bandwidth over link bandwidth; in-switch reduction (above 1) is left out."""
    return _bus_bandwidth(cluster, "all_gather", "reduce_scatter", "all_reduce") or DEFAULT_SCALE_UP_EFFICIENCY


def _bus_bandwidth(cluster: Cluster, *collectives: str) -> float | None:
    """The best published share of the link that the library reaches with any of `collectives`."""
    found = [
        efficiency.fraction
        for efficiency in cluster.accelerator.efficiencies
        if efficiency.metric == "nccl_busbw" and efficiency.format in collectives and 0.5 < efficiency.fraction < 0.9
    ]
    return max(found, default=None)


def _network_share(cluster: Cluster) -> float:
    network = cluster.node.network_bytes_per_s
    return (network or 1.0) / cluster.node.accelerators_per_node


def group_for(axes: tuple[str, ...], layouts: Layouts, domain: int) -> Group:
    """The group of ranks that `axes` span, and how many of them share a scale-up domain. Raises PluginError."""
    alone = layouts[ONE_DOMAIN] > 0
    used = used_domain(domain, layouts)
    if len(axes) == 2 and SHARD_GROUP in axes:
        return _shard_group(axes, layouts, used, alone)
    if axes == (EXPERT_REPLICAS,):
        return collectives.group_of(
            layouts["expert_replicas"], layouts.degree("etp") * layouts.degree("ep"), used, alone
        )
    if axes == ("embedding_copies",):
        two = np.where(layouts["pp"] > 1, 2.0, 1.0)
        return collectives.group_of(two, _stride("pp", layouts), used, alone)
    names = ("cp", "dp") if axes == (REPLICAS,) else axes
    order = EXPERT_RANK_ORDER if names[0] in EXPERT_RANK_ORDER else RANK_ORDER
    size: Array = np.ones(1)
    for name in names:
        if name not in layouts:
            raise PluginError(f"a communication names the axis {name!r}, which no strategy brings")
        size = size * layouts[name]
    inner_most = min(names, key=lambda name: order.index(name) if name in order else len(order))
    return collectives.group_of(size, _stride(inner_most, layouts), used, alone)


def shard_width(replicas: str, layouts: Layouts) -> Array:
    """Over how many ranks of `replicas` (`REPLICAS`, `EXPERT_REPLICAS`) ZeRO divides: all, or those of one shard group."""
    size = layouts.degree(SHARD_GROUP)
    groups = np.where(size > 1, np.maximum(1.0, layouts[REPLICAS] / size), 1.0)
    width: Array = np.maximum(1.0, layouts[replicas] / groups)
    return width


def used_domain(domain: int, layouts: Layouts) -> Array:
    """How many ranks of each job share a scale-up domain: all that it has room for where domains come out full, else
    a power of two, so that groups do not straddle two.

    NVL72 racks are handed out so, 64 of 72 at a time (Slurm's topology/block, ``--segment=16`` of four-GPU nodes); MLPerf's jobs
    of 2,496 GPUs are 39 × 64.
    Where a domain is a power of two, that is all of it, and the jobs' sizes are not even read.
    """
    power_of_two = 2.0 ** np.floor(np.log2(domain))
    if power_of_two == domain:
        return np.full(1, power_of_two)
    total = layouts["n_gpus"]
    full = (total <= domain) | (np.mod(total, domain) == 0)
    return np.where(full, domain, power_of_two)


def _shard_group(axes: tuple[str, ...], layouts: Layouts, domain: Array, alone: Mask) -> Group:
    """The innermost part of the replicas, or the ranks at the same place of each such part."""
    inside = axes[0] == SHARD_GROUP
    replicas = axes[1] if inside else axes[0]
    experts = layouts.degree("etp") * layouts.degree("ep")
    stride = experts if replicas == EXPERT_REPLICAS else _stride("cp", layouts)
    width = shard_width(replicas, layouts)
    if inside:
        return collectives.group_of(width, stride, domain, alone)
    return collectives.group_of(layouts[replicas] / width, stride * width, domain, alone)


def _stride(axis: str, layouts: Layouts) -> Array:
    """How far apart neighbours along `axis` lie: the product of the degrees placed inside it."""
    order = EXPERT_RANK_ORDER if axis in EXPERT_RANK_ORDER else RANK_ORDER
    inside = order[: order.index(axis)] if axis in order else order
    stride: Array = np.ones(1)
    for name in inside:
        stride = stride * layouts.degree(name)
    return stride


class Traffic:
    """Prices communications of the layouts of one mesh; a group of ranks is found once, however many collectives it runs."""

    def __init__(self, layouts: Layouts, network: Network) -> None:
        self._layouts = layouts
        self._network = network
        self._groups: dict[tuple[str, ...], Group] = {}

    def over(self, layouts: Layouts) -> Traffic:
        """The traffic of another mesh on the same network; this one, if it is the same mesh."""
        return self if layouts is self._layouts else Traffic(layouts, self._network)

    def seconds(self, communication: Communication) -> Array:
        """Seconds of one event; nothing sent takes no time."""
        network = self._network
        group = self._group(communication.axes)
        payload = np.asarray(communication.payload_bytes, dtype=np.float64)
        if communication.collective is Collective.ALL_TO_ALL:
            inner = network.inner if communication.copies else network.exchange
            took = collectives.all_to_all_s(group, payload, inner, network.outer, communication.copies)
        else:
            formula = {
                Collective.ALL_REDUCE: collectives.all_reduce_s,
                Collective.ALL_GATHER: collectives.ring_s,
                Collective.REDUCE_SCATTER: collectives.ring_s,
                Collective.POINT_TO_POINT: collectives.point_to_point_s,
            }[communication.collective]
            took = formula(group, payload, network.inner, network.outer)
            took = np.maximum(took, self._measured_s(communication.collective, group, payload))
        return took if (payload > 0).all() else np.where(payload > 0, took, 0.0)

    def _measured_s(self, collective: Collective, group: Group, payload: Array) -> Array | float:
        """Seconds at the measured bus bandwidth of a group over as many nodes. Groups beside each other, each over cards of its
        own, reach as much each: more nodes slow a collective down where their cards are far from full."""
        tables = {
            Collective.ALL_REDUCE: (2.0, self._network.measured.all_reduce),
            Collective.ALL_GATHER: (1.0, self._network.measured.gather),
            Collective.REDUCE_SCATTER: (1.0, self._network.measured.gather),
        }
        passes, table = tables.get(collective, (0.0, ()))
        if not table:
            return 0.0
        nodes, bandwidths = (np.array(column, dtype=np.float64) for column in zip(*table, strict=True))
        row = np.minimum(np.searchsorted(nodes, group.outer), len(nodes) - 1)
        seconds = passes * (group.size - 1) / group.size * payload / bandwidths[row]
        return np.where(group.outer >= nodes[0], seconds, 0.0)

    def all_s(self, communication: Communication) -> Array | None:
        """Seconds of all its events; None where no layout has any."""
        if not np.asarray(communication.events).any() or not np.asarray(communication.payload_bytes).any():
            return None
        return self.seconds(communication) * communication.events

    def _group(self, axes: tuple[str, ...]) -> Group:
        if axes not in self._groups:
            self._groups[axes] = group_for(axes, self._layouts, self._network.domain)
        return self._groups[axes]
