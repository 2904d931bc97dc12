"""Seconds of a collective over a two-level network: the α–β model, FORMULAS section 6.

References
----------
[1] NVIDIA/nccl-tests, doc/PERFORMANCE.md: factors between algorithm and bus bandwidth.
[2] Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1), 2005.
[3] NVIDIA/nccl, src/graph/tuning.cc: steps inside and between nodes, and their latencies, by algorithm.
[4] deepseek-ai/DeepEP, README.md and branch hybrid-ep, docs/README_Hybrid-EP.md: dispatch and combine of routed tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Mask


@dataclass(frozen=True, slots=True)
class Group:
    """Ranks that communicate: `size` in all, `inner` of them in each scale-up domain. Arrays over layouts."""

    size: Array
    inner: Array

    @property
    def outer(self) -> Array:
        """Domains that the group spans."""
        return self.size / self.inner


@dataclass(frozen=True, slots=True)
class Link:
    """Bandwidth of one accelerator, one direction [byte/s], and latency of one hop [s], at one level of the network.

    `chunk_bytes` is what a rank passes on at once in a ring: until every rank has its first chunk the ring is not full.
    """

    bandwidth_bytes_per_s: Array | float
    latency_s: float
    chunk_bytes: float = 0.0


def group_of(size: Array, stride: Array, domain: Array | float, alone: Mask | bool = False) -> Group:
    """The group of `size` ranks that lie `stride` apart, where each `domain` consecutive ranks share a scale-up domain, or all
    ranks do (`alone`). Where groups and domains do not line up, some group straddles one domain more than it needs.

    >>> group_of(np.array([8.0, 8.0, 4.0]), np.array([1.0, 4.0, 8.0]), 8).inner.tolist()
    [8.0, 2.0, 1.0]
    """
    span = size * stride
    inside = np.maximum(1.0, np.floor(domain / stride))
    spanned = np.ceil(size / inside)
    aligned = (
        (np.mod(domain, span) == 0) | ((np.mod(span, domain) == 0) & (np.mod(domain, stride) == 0)) | (stride >= domain)
    )
    spanned = np.where(aligned, spanned, np.minimum(size, spanned + 1.0))
    return Group(size=size, inner=np.where(alone, size, size / spanned))


def ring_s(group: Group, payload_bytes: Array, inner: Link, outer: Link) -> Array:
    """All-gather or reduce-scatter of a full buffer of `payload_bytes`: ``(n−1)/n · S/B`` plus a latency per step [1], and the
    time until the ring is full, ``(n−1) · min(chunk, S/n)/B``.

    Inside a domain each rank moves (n−1)/n of the buffer over its scale-up link; between domains the group's `inner`
    ranks use their network shares side by side (multi-rail), so (r−1)/r of the buffer crosses at `inner` times one
    rank's share. Both levels run as one pipeline: the slower one sets the time. Of the n − 1 steps r − 1 cross domains [3].
    """
    size, inside, outside = group.size, group.inner, group.outer
    share = payload_bytes / size
    moved = (size - 1) * (share + np.minimum(inner.chunk_bytes, share))
    crossed = (outside - 1) * (payload_bytes / outside + np.minimum(outer.chunk_bytes, share))
    scale_up_s = np.where(inside > 1, moved / inner.bandwidth_bytes_per_s, 0.0)
    network_s = crossed / (inside * outer.bandwidth_bytes_per_s)
    latency_s = (outside - 1) * outer.latency_s + (size - outside) * inner.latency_s
    return np.maximum(scale_up_s, network_s) + latency_s


def all_reduce_s(group: Group, payload_bytes: Array, inner: Link, outer: Link) -> Array:
    """All-reduce of `payload_bytes` on each rank, by the faster of two algorithms [3].

    Ring: a reduce-scatter and an all-gather, ``2(n−1)/n · S/B`` [1]. Tree: a chain in each domain and a double binary tree
    between them; the whole buffer goes up and down, ``2S/B``, in 2(inner − 1) + 2·log₂(r) steps ([2], section 4.4).
    """
    ring = 2.0 * ring_s(group, payload_bytes, inner, outer)
    inside, outside = group.inner, group.outer
    scale_up_s = np.where(inside > 1, 2.0 * payload_bytes / inner.bandwidth_bytes_per_s, 0.0)
    network_s = 2.0 * payload_bytes / (inside * outer.bandwidth_bytes_per_s)
    latency_s = 2.0 * (inside - 1) * inner.latency_s + 2.0 * np.log2(outside) * outer.latency_s
    tree = np.maximum(scale_up_s, network_s) + latency_s
    took: Array = np.where(outside > 1, np.minimum(ring, tree), ring)
    return took


def all_to_all_s(group: Group, payload_bytes: Array, inner: Link, outer: Link, copies: float = 0.0) -> Array:
    """All-to-all of a send buffer of `payload_bytes`: 1/n of it stays, (inner−1)/n goes over the scale-up link and the
    rest over this rank's own share of the network, at the same time.

    With `copies` k per token, random destinations and no copy sent twice, a token reaches each rank with 1 − (1 − 1/n)ᵏ and each
    of r domains with 1 − (1 − 1/r)ᵏ. It crosses to another domain once, to the rank at the same place there, which passes it on
    over its scale-up link to the others that it is for [4].
    """
    size, inside, outside = group.size, group.inner, group.outer
    local = (inside - 1) / size
    crossing = (size - inside) / size
    if copies:
        local = (size - outside) * (1 - (1 - 1 / size) ** copies) / copies
        crossing = (outside - 1) * (1 - (1 - 1 / outside) ** copies) / copies
    scale_up_s = local * payload_bytes / inner.bandwidth_bytes_per_s
    network_s = crossing * payload_bytes / outer.bandwidth_bytes_per_s
    latency_s = np.where(size > inside, outer.latency_s, inner.latency_s) * (size > 1)
    took: Array = np.maximum(scale_up_s, network_s) + latency_s
    return took


def point_to_point_s(group: Group, payload_bytes: Array, inner: Link, outer: Link) -> Array:
    """One message to the next rank of the group: ``α + S/B`` of the slowest link that the group's neighbours use."""
    crosses = group.size > group.inner
    scale_up_s = inner.latency_s + payload_bytes / inner.bandwidth_bytes_per_s
    network_s = outer.latency_s + payload_bytes / outer.bandwidth_bytes_per_s
    return np.where(group.size > 1, np.where(crosses, network_s, scale_up_s), 0.0)
