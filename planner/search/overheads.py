"""What the device adds to allocated bytes: its context, workspaces, communicators, and the caching allocator's reserve."""

from __future__ import annotations

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import EXPERT_REPLICAS, REPLICAS, Context
from planner.search.network import shard_width


def communicators(context: Context, layouts: Layouts) -> Array:
    """How many communicators a rank belongs to: one per group of more than one rank along tp, cp, pp, the replicas (two where
    shard groups divide them), and for routed experts ep and their replicas where those are not the same ranks."""
    replicas = layouts[REPLICAS]
    width = shard_width(REPLICAS, layouts)
    sizes = [layouts.degree("tp"), layouts.degree("cp"), layouts.degree("pp"), width, replicas / width]
    if context.architecture.moe is not None:
        same = layouts[EXPERT_REPLICAS] == replicas
        sizes += [layouts.degree("ep"), np.where(same, 1.0, shard_width(EXPERT_REPLICAS, layouts))]
    count: Array = np.zeros(1)
    for size in sizes:
        count = count + (size > 1)
    return count


def overhead_bytes(context: Context, communicators: Array, allocated: Array) -> Array:
    """Context, workspaces, communicators, and what the caching allocator reserves beyond the `allocated` bytes."""
    overheads = context.framework.overheads
    fixed = overheads.context_bytes + overheads.workspace_bytes + communicators * overheads.communicator_bytes
    return allocated * overheads.fragmentation + fixed


def uncertain_total(context: Context, communicators: float, total: float) -> tuple[float, float]:
    """The least and the most that `total` bytes at a peak may be, by what was published of what the device adds."""
    overheads = context.framework.overheads
    fixed = overheads.context_bytes + overheads.workspace_bytes + communicators * overheads.communicator_bytes
    allocated = (total - fixed) / (1.0 + overheads.fragmentation)

    def at(end: int) -> float:
        per_device = overheads.bound("context_bytes")[end] + overheads.bound("workspace_bytes")[end]
        groups = communicators * overheads.bound("communicator_bytes")[end]
        return allocated * (1.0 + overheads.bound("fragmentation")[end]) + per_device + groups

    return min(total, at(0)), max(total, at(1))
