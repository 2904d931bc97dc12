"""What ``--cluster`` means: ``SLUG``, ``GPU:COUNT`` or ``GPU:NODESxPER_NODE``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from planner.domain.hardware import Accelerator, Cluster, Node
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog

SYNTHETIC_NODE_SIZE: Final = 8
"""Accelerators in a node that is made up for one without a reference node."""
LARGEST_POOL: Final = 10_000_000
_SPEC: Final = re.compile(r"(?P<gpu>.*[^\s:])\s*:\s*(?P<count>\d{1,9})\s*(?:[xX×]\s*(?P<per_node>\d{1,9}))?\s*")


@dataclass(frozen=True, slots=True)
class BareCluster:
    """A pool named by its accelerator: `count` accelerators, or `count` nodes of `per_node`."""

    gpu: str
    count: int
    per_node: int | None

    @property
    def accelerators(self) -> int:
        """All accelerators of the pool."""
        return self.count * (1 if self.per_node is None else self.per_node)


def parse(spec: str) -> BareCluster | None:
    """The parts of ``GPU:COUNT`` and ``GPU:NODESxPER_NODE``; None for a slug. Raises InputError."""
    if ":" not in spec:
        return None
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise InputError(
            f"cluster {spec!r} is neither a name, GPU:COUNT nor GPU:NODESxPER_NODE",
            hint="for example a100-pool, h100:64 or h100:8x8",
        )
    per_node = match["per_node"]
    bare = BareCluster(match["gpu"].strip(), int(match["count"]), None if per_node is None else int(per_node))
    if not 0 < bare.accelerators <= LARGEST_POOL:
        raise InputError(f"cluster {spec!r} has {bare.accelerators:,} accelerators", hint=f"use 1 to {LARGEST_POOL:,}")
    return bare


def cluster(catalog: Catalog, spec: str, node: str | None) -> Cluster:
    """The cluster that `spec` means, with its price. Raises InputError, UnknownNameError."""
    bare = parse(spec)
    if bare is not None:
        return _bare_cluster(catalog, spec.strip(), bare, node)
    if node is not None:
        raise InputError(f"--node {node} needs a bare accelerator, not the cluster {spec!r}", hint="as in h100:64")
    try:
        return catalog.named_cluster(spec)
    except UnknownNameError as error:
        gpu = catalog.find("accelerators", spec)
        if gpu is None:
            raise
        message = f"{spec!r} is an accelerator, not a cluster"
        raise InputError(message, hint=f"say how many: {gpu}:8 or {gpu}:4x8") from error


def _bare_cluster(catalog: Catalog, spec: str, bare: BareCluster, node_name: str | None) -> Cluster:
    accelerator = catalog.accelerator(bare.gpu)
    node = _node(catalog, accelerator, bare, node_name)
    size = node.accelerators_per_node
    if bare.per_node is not None:
        node, nodes = _part(node, bare.per_node), bare.count
    elif bare.count <= size:
        node, nodes = _part(node, bare.count), 1
    elif bare.count % size:
        below = bare.count // size * size
        raise InputError(
            f"cluster {spec!r}: {bare.count} is not a multiple of the {size} accelerators of a {node.slug}",
            hint=f"use {below} or {below + size}, or GPU:NODESxPER_NODE",
        )
    else:
        nodes = bare.count // size
    if nodes > 1 and node.synthetic:
        raise InputError(
            f"cluster {spec!r} needs a network between nodes, and {node.slug} has none",
            hint=f"name another node with --node, or use at most {size}",
        )
    return Cluster(
        slug=spec,
        name=f"{nodes * node.accelerators_per_node} × {accelerator.name}",
        accelerator=accelerator,
        node=node,
        nodes=nodes,
        price=node.price or catalog.accelerator_price(accelerator.slug),
        source=node.source,
        note="" if node.synthetic else f"nodes as {node.slug}",
    )


def _node(catalog: Catalog, accelerator: Accelerator, bare: BareCluster, name: str | None) -> Node:
    wanted = name or accelerator.reference_node
    if wanted is None:
        return _synthetic(accelerator, bare)
    node = catalog.node(wanted)
    if node.accelerator != accelerator.slug:
        raise InputError(
            f"node {node.slug} holds {node.accelerator}, not {accelerator.slug}",
            hint=f"use {node.accelerator}:{bare.count} or another --node",
        )
    if bare.per_node is not None and bare.per_node > node.accelerators_per_node:
        raise InputError(
            f"a {node.slug} holds {node.accelerators_per_node} accelerators, not {bare.per_node}",
            hint="name a larger node with --node",
        )
    return node


def _synthetic(accelerator: Accelerator, bare: BareCluster) -> Node:
    size = min(bare.count, SYNTHETIC_NODE_SIZE) if bare.per_node is None else bare.per_node
    if size > SYNTHETIC_NODE_SIZE:
        raise InputError(
            f"{accelerator.slug} has no reference node, and a made-up one holds at most {SYNTHETIC_NODE_SIZE}",
            hint=f"name a node of {size} with --node",
        )
    return Node(
        slug=f"{accelerator.slug}-pcie-{size}",
        name=f"{size} × {accelerator.name} behind PCIe, no network",
        provider="synthetic",
        accelerator=accelerator.slug,
        accelerators_per_node=size,
        scaleup_domain=1,
        intra_node_topology="PCIe",
        synthetic=True,
        source="made up: the catalog has no reference node for this accelerator",
    )


def _part(node: Node, accelerators: int) -> Node:
    """The node with only some of its accelerators in use, and their share of what all of them divide."""
    size = node.accelerators_per_node
    if accelerators == size:
        return node
    across_nodes = node.scaleup_domain > size
    domain = node.scaleup_domain * accelerators // size if across_nodes else min(node.scaleup_domain, accelerators)
    network, memory = node.network_bytes_per_s, node.host_memory_bytes
    return replace(
        node,
        accelerators_per_node=accelerators,
        scaleup_domain=max(1, domain),
        nic_count=None,
        network_bytes_per_s=None if network is None else network * accelerators / size,
        host_memory_bytes=None if memory is None else memory * accelerators // size,
        note=f"{accelerators} of {size} accelerators, with their share of network and memory",
    )
