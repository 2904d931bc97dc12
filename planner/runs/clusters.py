"""The machines of a row of runs: the accelerator, its reference node as far as the row agrees with it, the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from statistics import median
from typing import Final

from planner.domain.hardware import Accelerator, Cluster, Node
from planner.errors import InputError, UnknownNameError
from planner.importers.runs import RunRow
from planner.search.network import NETWORK_EFFICIENCY
from planner.units import GIB, GIGA

LARGEST_PLAIN_NODE: Final = 8
"""Accelerators in a node that nothing is known about (DESIGN section 6)."""
MEMORY_MISMATCH: Final = 0.08
"""By how much the memory that a row states may differ from that of the accelerator its name stands for."""
_QUALIFIES: Final = re.compile(r"hbm\d\w*|\d+w|sxm\d?|\d+gb?", re.IGNORECASE)
"""What may follow the name of an accelerator without making it another one."""


class Machines:
    """Builds the cluster of a row from the catalog's accelerators and nodes, each looked up once."""

    def __init__(
        self,
        accelerator: Callable[[str], Accelerator],
        node: Callable[[str], Node],
        nodes: Callable[[], Iterable[Node]],
    ) -> None:
        """Look accelerators and nodes up with `accelerator` and `node`; `nodes` lists all that there are."""
        self._accelerator, self._node, self._all_nodes = accelerator, node, nodes
        self._accelerators: dict[str, Accelerator | InputError] = {}
        self._nodes: tuple[Node, ...] | None = None
        self._shares: dict[tuple[str, str], tuple[float, str] | None] = {}

    def cluster(self, row: RunRow) -> tuple[Cluster, tuple[str, ...]]:
        """As many nodes as `row` has GPUs for, and what was filled in. Raises InputError naming the GPU's column."""
        accelerator = self._accelerator_of(row)
        filled = [f"{each.metric} = {each.fraction:g} ({each.source})" for each in accelerator.calibrations]
        node = self._sized(row, accelerator, filled)
        node = self._networked(row, accelerator, node, filled)
        nodes = -(-row.n_gpus // node.accelerators_per_node)
        slug = f"{accelerator.slug}:{row.n_gpus}"
        cluster = Cluster(
            slug=slug, name=slug, accelerator=accelerator, node=node, nodes=nodes, measured=row.bus_bandwidths
        )
        return cluster, tuple(filled)

    def _accelerator_of(self, row: RunRow) -> Accelerator:
        if row.gpu_slug is not None:
            return self._known("gpu_slug", row.gpu_slug)
        if row.gpu is None:
            raise InputError("gpu: not given")
        memory = row.gpu_memory_gb
        spellings = list(gpu_names(row.gpu))
        if memory is not None:
            spellings = [f"{name} {memory:g}GB" for name in spellings] + spellings
        tried = (self._tried(name) for name in spellings)
        found = next((each for each in tried if each is not None), None) or self._known("gpu", row.gpu)
        labels = (found.capacity_bytes / GIGA, found.capacity_bytes / GIB)
        if memory is not None and all(abs(label / memory - 1) > MEMORY_MISMATCH for label in labels):
            raise InputError(f"gpu: {row.gpu!r} with {memory:g} GB is not {found.slug}", hint="name it in gpu_slug")
        return found

    def _tried(self, name: str) -> Accelerator | None:
        try:
            return self._known("gpu", name)
        except InputError:
            return None

    def _known(self, column: str, name: str) -> Accelerator:
        if name not in self._accelerators:
            try:
                self._accelerators[name] = self._accelerator(name)
            except UnknownNameError as unknown:
                self._accelerators[name] = InputError(f"{column}: {unknown.message}", hint=unknown.hint)
        found = self._accelerators[name]
        if isinstance(found, InputError):
            raise found
        return found

    def _sized(self, row: RunRow, accelerator: Accelerator, filled: list[str]) -> Node:
        """The reference node, with the row's number of accelerators if it states another one."""
        reference = None if accelerator.reference_node is None else self._node(accelerator.reference_node)
        wanted = row.gpus_per_node
        if reference is None:
            per_node = wanted or min(row.n_gpus, LARGEST_PLAIN_NODE)
            if wanted is None:
                filled.append(f"gpus_per_node = {per_node} (no reference node)")
            return _plain_node(accelerator, per_node)
        if wanted is None:
            if row.n_gpus > 1:
                filled.append(f"gpus_per_node = {reference.accelerators_per_node} ({reference.slug})")
            return reference
        if wanted == reference.accelerators_per_node:
            return reference
        if row.n_gpus > wanted:
            filled.append(f"node = {reference.slug} with {wanted} accelerators and their share of its network")
        return _resized(reference, wanted)

    def _networked(self, row: RunRow, accelerator: Accelerator, node: Node, filled: list[str]) -> Node:
        """What the row's source measured, else the network of the row's note, else the node's own, else what such nodes have."""
        reach = max(node.accelerators_per_node, node.scaleup_domain)
        between_nodes = [pair for pair in row.bus_bandwidths.all_reduce if pair[0] > 1]
        if between_nodes and row.n_gpus > reach:
            return _measured(node, *between_nodes[0], filled)
        if row.network_bytes_per_s is not None:
            return replace(node, network_bytes_per_s=row.network_bytes_per_s)
        if node.network_bytes_per_s is not None:
            if row.n_gpus > reach and not node.synthetic:
                filled.append(f"network = {_gigabits(node.network_bytes_per_s)} per node ({node.slug})")
            return node
        if row.n_gpus <= reach:
            return node
        share = self._usual_share(accelerator)
        if share is None:
            raise InputError("interconnect_note: the network is not known, and no node of the catalog has one")
        network = share[0] * node.accelerators_per_node
        filled.append(f"network = {_gigabits(network)} per node (median of the catalog's nodes with {share[1]})")
        return replace(node, network_bytes_per_s=network)

    def _usual_share(self, accelerator: Accelerator) -> tuple[float, str] | None:
        """The median network bandwidth per accelerator, and of which nodes it is."""
        key = (accelerator.slug, accelerator.form_factor)
        if key not in self._shares:
            self._shares[key] = self._median_share(accelerator)
        return self._shares[key]

    def _median_share(self, accelerator: Accelerator) -> tuple[float, str] | None:
        if self._nodes is None:
            self._nodes = tuple(self._all_nodes())
        shares = [
            (node.accelerator, node.network_bytes_per_s / node.accelerators_per_node)
            for node in self._nodes
            if node.network_bytes_per_s
        ]
        same = [share for slug, share in shares if slug == accelerator.slug]
        if same:
            return median(same), accelerator.slug
        form = [share for slug, share in shares if self._form_factor(slug) == accelerator.form_factor]
        if form:
            return median(form), f"{accelerator.form_factor} accelerators"
        return (median(share for _, share in shares), "any accelerator") if shares else None

    def _form_factor(self, slug: str) -> str | None:
        found = self._tried(slug)
        return None if found is None else found.form_factor


def gpu_names(gpu: str) -> Iterator[str]:
    """The spellings to look a GPU up by, best first: as it is, without what qualifies it, what is in parentheses.

    Words that tell accelerators apart (PCIe, Ada, Laptop) are never dropped.

    >>> list(gpu_names("NVIDIA H100 80GB HBM3"))
    ['NVIDIA H100 80GB HBM3', 'H100 80GB HBM3', 'H100 80GB', 'H100']
    """
    plain = re.sub(r"\([^)]*\)", " ", gpu).strip()
    yield plain
    words = re.sub(r"^(?:nvidia|dgx|hgx)\b[\s-]*", "", plain, flags=re.IGNORECASE).split()
    while words:
        name = re.sub(r"(\d)g$", r"\1GB", " ".join(words), flags=re.IGNORECASE)
        if name != plain:
            yield name
        if not _QUALIFIES.fullmatch(words.pop()):
            break
    yield from re.findall(r"\(([^)]*)\)", gpu)


def _gigabits(bytes_per_s: float) -> str:
    return f"{bytes_per_s * 8 / GIGA:g} Gb/s"


def _measured(node: Node, nodes: int, bus_bytes_per_s: float, filled: list[str]) -> Node:
    """The network on which a ring over so many nodes, the fewest that the source measured, reaches its bus bandwidth: of a buffer,
    (r − 1)/r cross to r nodes where a bus bandwidth counts (n − 1)/n of it for n accelerators."""
    ranks = nodes * node.accelerators_per_node
    crossing = (nodes - 1) / nodes * ranks / (ranks - 1)
    network = bus_bytes_per_s * crossing / NETWORK_EFFICIENCY
    filled.append(f"network = {_gigabits(round(network))} per node (the source's own all-reduce on {nodes} nodes)")
    return replace(node, network_bytes_per_s=network)


def _plain_node(accelerator: Accelerator, per_node: int) -> Node:
    """A node that only the row knows: joined by the accelerator's own link, without a network."""
    joined = accelerator.scaleup_bytes_per_s is not None and accelerator.scaleup_domain > 1
    # A link that joins more than a server's accelerators joins whole racks or pods, whatever a server holds.
    beyond = accelerator.scaleup_domain > LARGEST_PLAIN_NODE
    domain = accelerator.scaleup_domain if beyond else min(per_node, accelerator.scaleup_domain)
    return Node(
        slug=f"{accelerator.slug}-node-of-{per_node}", name=f"{per_node} x {accelerator.name}", provider="",
        accelerator=accelerator.slug, accelerators_per_node=per_node,
        scaleup_domain=domain if joined else 1,
        intra_node_topology=accelerator.scaleup_link or "PCIe" if joined else "PCIe", synthetic=True,
    )  # fmt: skip


def _resized(reference: Node, per_node: int) -> Node:
    """The reference node with another number of accelerators; each keeps its share of the network."""
    rack_scale = reference.scaleup_domain > reference.accelerators_per_node
    network = reference.network_bytes_per_s
    return replace(
        reference,
        slug=f"{reference.slug}-with-{per_node}",
        accelerators_per_node=per_node,
        scaleup_domain=reference.scaleup_domain if rack_scale else min(reference.scaleup_domain, per_node),
        nic_count=None,
        network_bytes_per_s=None if network is None else network * per_node / reference.accelerators_per_node,
        price=None,
    )
