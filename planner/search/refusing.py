"""Which layouts of a mesh are refused, and why: the reasons of plugins and of the cluster, in their documented order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Layouts, Mask
from planner.plugin import Context, Framework, Offload, Refusal, is_multiple
from planner.search.rules import Rules

WORTH_DROPPING: Final = 0.75
"""Tuples of which every layout is refused are dropped once no more than this share is left: the reasons that follow need not look
at them."""


def refusals(context: Context, layouts: Layouts, rules: Rules) -> list[Refusal]:
    """Every reason in its documented order: strategies by plugin, then schedules, offloads, the cluster."""
    return [refusal for source in _sources(rules) for refusal in source(context, layouts)]


Source = Callable[[Context, Layouts], Iterable[Refusal]]
"""Whatever gives reasons."""


def _sources(rules: Rules) -> Iterator[Source]:
    yield from (strategy.refusals for strategy in rules.strategies if strategy.refusals is not None)
    yield lambda context, layouts: _schedule_refusals(context, layouts, rules)
    yield lambda context, layouts: _offload_refusals(context, layouts, rules)
    yield _cluster_refusals


def _schedule_refusals(context: Context, layouts: Layouts, rules: Rules) -> Iterator[Refusal]:
    for name, schedule in rules.schedules.items():
        here = layouts.equals("schedule", name)
        if schedule.refusals is not None and here.any():
            for refusal in schedule.refusals(context, layouts):
                yield replace(refusal, where=here & refusal.where)


def _offload_refusals(context: Context, layouts: Layouts, rules: Rules) -> Iterator[Refusal]:
    framework = context.framework
    for name, offload in rules.offloads.items():
        here = layouts.equals("offload", name)
        if not here.any():
            continue
        if not offloads(framework, offload):
            yield Refusal(reason=f"{framework.name} does not offload {offload.name}", where=here)
        if offload.refusals is not None:
            for refusal in offload.refusals(context, layouts):
                yield replace(refusal, where=here & refusal.where)


def _cluster_refusals(context: Context, layouts: Layouts) -> Iterator[Refusal]:
    """Jobs of several nodes take whole nodes; a job inside one node divides it."""
    per_node = context.cluster.node.accelerators_per_node
    n_gpus = layouts["n_gpus"]
    partial = (n_gpus > per_node) & ~is_multiple(n_gpus, per_node)
    yield Refusal(reason="not a whole number of nodes", where=partial)
    yield Refusal(reason="more GPUs than the cluster has", where=n_gpus > context.cluster.accelerators)
    if context.cluster.node.network_bytes_per_s is None:
        unreachable = n_gpus > max(per_node, context.cluster.node.scaleup_domain)
        yield Refusal(reason="more than one node without a known network", where=unreachable)


@dataclass(frozen=True, slots=True)
class Judged:
    """A mesh without the tuples of which every layout is refused.

    `layouts` are the `tuples` that are left, by their place in the mesh; `allowed` says which of their layouts are, and broadcasts
    to them. `refused` has the masks of each reason that is the first to refuse a layout, beside the part of the mesh that they are
    of: what the reasons before had left.
    """

    layouts: Layouts
    tuples: NDArray[np.intp]
    allowed: Mask
    refused: tuple[tuple[Layouts, dict[str, Mask]], ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many layouts each reason is the first for."""
        found: dict[str, int] = {}
        for part, masks in self.refused:
            size = int(np.prod(part.shape))
            for reason, where in masks.items():
                found[reason] = found.get(reason, 0) + int(np.count_nonzero(where)) * (size // where.size)
        return found


def judged(context: Context, layouts: Layouts, rules: Rules) -> Judged:
    """What is refused of `layouts`, and what is left."""
    tuples = np.arange(layouts.shape[-1])
    allowed: Mask = np.ones((1,) * len(layouts.shape), dtype=np.bool_)
    refused = []
    for source in _sources(rules):
        masks: dict[str, Mask] = {}
        for refusal in source(context, layouts):
            fresh = allowed & refusal.where
            if fresh.any():
                masks[refusal.reason] = masks[refusal.reason] | fresh if refusal.reason in masks else fresh
                allowed = allowed ^ fresh
        if masks:
            refused.append((layouts, masks))
            layouts, tuples, allowed = _left(layouts, tuples, allowed, WORTH_DROPPING)
            if not len(tuples):
                break
    return Judged(*_left(layouts, tuples, allowed, 1.0), tuple(refused))


def _left(
    layouts: Layouts, tuples: NDArray[np.intp], allowed: Mask, share: float
) -> tuple[Layouts, NDArray[np.intp], Mask]:
    """The tuples of which some layout is allowed, if these are no more than `share` of all."""
    some = allowed.any(axis=tuple(range(allowed.ndim - 1)))
    alive = np.flatnonzero(np.broadcast_to(some, tuples.shape))
    if len(alive) > share * len(tuples) or len(alive) == len(tuples):
        return layouts, tuples, allowed
    return layouts.some(alive), tuples[alive], allowed.take(alive, axis=-1) if allowed.shape[-1] > 1 else allowed


def refused(context: Context, layouts: Layouts, rules: Rules) -> Mask:
    """Where any reason applies; the mask broadcasts to the mesh."""
    found = judged(context, layouts, rules)
    forbidden = np.ones((*found.allowed.shape[:-1], layouts.shape[-1]), dtype=np.bool_)
    forbidden[..., found.tuples] = ~found.allowed
    return forbidden


def offloads(framework: Framework, offload: Offload) -> bool:
    """Whether `framework` can keep in the host's memory what `offload` moves there."""
    return offload.states <= framework.offloads_states and (framework.offloads_activations or not offload.activations)
