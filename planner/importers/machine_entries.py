"""Entries of the catalog from what a machine or a scheduler shows: a cluster for each kind of node, and the node where needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.catalog.entries import Entry, entry
from planner.catalog.reader import Catalog
from planner.catalog.user_layer import OWN
from planner.domain.hardware import Accelerator, Node
from planner.errors import InputError
from planner.importers.huggingface import slug_of
from planner.importers.machine_names import accelerator_named
from planner.importers.machines import SeenNodes
from planner.units import parse_bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the user adds to what the machine shows; None where nothing is added.

    `slug` and `name` are the cluster's, `accelerator` and `node` slugs or aliases, `nodes` how many such machines there are,
    `network` the bandwidth of one node's network as text, `usd_per_gpu_hour` what one accelerator costs.
    """

    slug: str | None = None
    name: str | None = None
    accelerator: str | None = None
    node: str | None = None
    nodes: int | None = None
    network: str | None = None
    usd_per_gpu_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Brought:
    """The entries that an output became, and what a user should know of them."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


def brought(
    catalog: Catalog, seen: Sequence[SeenNodes], known: Known, *, stem: str, source: str, on: str, where: str
) -> Brought:
    """Clusters, and nodes of the user's own where the catalog has none that fits.

    `stem` is what clusters are called where `known` names no slug, `source` what the facts are from, `on` the day. Raises
    InputError.
    """
    entries: list[Entry] = []
    notes: list[str] = []
    for index, nodes in enumerate(seen):
        try:
            accelerator = _accelerator(catalog, nodes, known)
            slug = _slug(known.slug or slug_of(stem), accelerator, nodes, alone=len(seen) == 1)
        except InputError as error:
            raise InputError(f"{where}: {error.message}", hint=error.hint) from None
        machine = replace(nodes, nodes=nodes.nodes * (known.nodes or 1))
        notes += [f"{slug}: {note}" for note in nodes.notes]
        for kind, fields, note in _fields(catalog, accelerator, machine, known, slug, on):
            if note:
                notes.append(f"{slug}: {note}")
            entries.append(entry(kind, fields, where=f"{where}, node type {index + 1}", source=source, on=on))
    return Brought(tuple(entries), tuple(notes))


def _accelerator(catalog: Catalog, nodes: SeenNodes, known: Known) -> Accelerator:
    if known.accelerator is not None:
        return catalog.accelerator(known.accelerator)
    return accelerator_named(catalog, nodes.accelerator, nodes.memory_bytes)


def _slug(base: str, accelerator: Accelerator, nodes: SeenNodes, *, alone: bool) -> str:
    return base if alone else f"{base}-{accelerator.slug}-x{nodes.per_node}"


def _fields(
    catalog: Catalog, accelerator: Accelerator, machine: SeenNodes, known: Known, slug: str, on: str
) -> Iterator[tuple[str, dict[str, Any], str]]:
    node, note = _node(catalog, accelerator, machine, known)
    if node is None:
        own = f"{slug}-node"
        yield "nodes", _own_node(accelerator, machine, known, own), note
        node_slug = own
    else:
        node_slug = node.slug
    shown = f"{machine.nodes} × {machine.per_node} {accelerator.name}"
    name = known.name or shown
    yield (
        "clusters",
        {"slug": slug, "name": name, "node": node_slug, "nodes": machine.nodes},
        "" if node is None else note,
    )
    if known.usd_per_gpu_hour is not None:
        yield "prices", price_fields(slug, accelerator.slug, known.usd_per_gpu_hour, on), ""


def price_fields(cluster: str, accelerator: str, usd_per_gpu_hour: object, on: str) -> dict[str, Any]:
    """The price that a user names for a cluster of their own."""
    return {
        "slug": f"{cluster}-{OWN}-{on}",
        "name": f"{cluster}, own price",
        "accelerator": accelerator,
        "cluster": cluster,
        "provider": OWN,
        "usd_per_accelerator_hour": usd_per_gpu_hour,
        "date": on,
    }


def _node(catalog: Catalog, accelerator: Accelerator, machine: SeenNodes, known: Known) -> tuple[Node | None, str]:
    """The catalog's node that the machine is, and what is assumed; None where it has to be one of the user's own."""
    if known.node is not None:
        node = catalog.node(known.node)
        if node.accelerator != accelerator.slug or node.accelerators_per_node != machine.per_node:
            raise InputError(
                f"node {node.slug} holds {node.accelerators_per_node} {node.accelerator}, the machine {machine.per_node} "
                f"{accelerator.slug}"
            )
        return node, ""
    if known.network is not None:
        return None, ""
    instance = None if machine.instance_type is None else catalog.find("nodes", machine.instance_type)
    for slug in (instance, accelerator.reference_node):
        found = None if slug is None else catalog.node(slug)
        if found is not None and _is_it(found, accelerator, machine):
            assumed = "" if slug == instance else f"taken for a {found.slug}; say --node or --network if it is another"
            return found, assumed
    unknown = "the network between nodes is not known; say --network or --node" if machine.nodes > 1 else ""
    return None, unknown


def _is_it(node: Node, accelerator: Accelerator, machine: SeenNodes) -> bool:
    return node.accelerator == accelerator.slug and node.accelerators_per_node == machine.per_node


def _own_node(accelerator: Accelerator, machine: SeenNodes, known: Known, slug: str) -> dict[str, Any]:
    # A board with a scale-up link joins all that are on it; cards for PCIe are taken as not bridged.
    joined = accelerator.scaleup_bytes_per_s is not None and "pcie" not in accelerator.form_factor.casefold()
    domain = min(machine.per_node, accelerator.scaleup_domain) if joined else 1
    return {
        "slug": slug,
        "name": f"{machine.per_node} × {accelerator.name}",
        "provider": OWN,
        "accelerator": accelerator.slug,
        "accelerators_per_node": machine.per_node,
        "scaleup_domain": domain,
        "intra_node_topology": f"{accelerator.scaleup_link or 'scale-up link'}, assumed"
        if domain > 1
        else "PCIe, assumed",
        "network_bytes_per_s": _network(known.network),
        "host_memory_bytes": machine.host_memory_bytes,
        "vcpus": machine.vcpus,
    }


def _network(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_bytes_per_s(text)
    except (ValueError, OverflowError) as problem:
        raise InputError(f"--network {problem}") from None
