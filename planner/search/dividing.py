"""What strategies divide: the tensors of regions, and the states that ZeRO shares out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import Context, Region, StateKind, Strategy, Value

ROUTED_REGIONS: Final = (Region.DISPATCHED, Region.EXPERT_INTERIOR)


def region_divisors(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> dict[Region, Array]:
    """The divisor of every region: the product over strategies; experts see more than their share by the capacity factor."""
    found: dict[Region, Array] = {region: np.ones(1) for region in Region}
    for strategy in strategies:
        if strategy.region_divisors is not None:
            for region, divisor in strategy.region_divisors(context, layouts).items():
                found[region] = found[region] * divisor
    if context.job.capacity_factor != 1.0:
        for region in ROUTED_REGIONS:
            found[region] = found[region] / context.job.capacity_factor
    return found


def state_shards(context: Context, layouts: Layouts, strategies: Sequence[Strategy]) -> dict[StateKind, Value]:
    """Where each kind of state is divided over its replica group."""
    found: dict[StateKind, Value] = {}
    for strategy in strategies:
        if strategy.shards_states is not None:
            for kind, where in strategy.shards_states(context, layouts).items():
                found[kind] = np.logical_or(found.get(kind, False), where)
    return found
