"""The plugins that a question is answered with, and which of them the choices of a mesh offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.domain.mesh import Layouts
from planner.plugin import Offload, Recompute, Schedule, Strategy


@dataclass(frozen=True, slots=True)
class Rules:
    """The plugins that an evaluation sums over, in their fixed order."""

    strategies: tuple[Strategy, ...]
    schedules: Mapping[str, Schedule]
    recomputes: Mapping[str, Recompute]
    offloads: Mapping[str, Offload] = field(default_factory=dict)


def mesh_recomputes(layouts: Layouts, rules: Rules) -> tuple[Recompute, ...]:
    """The recomputes that the mesh's choice axis offers, in its order."""
    return tuple(rules.recomputes[str(value)] for value in layouts.values["recompute"])


def mesh_schedules(layouts: Layouts, rules: Rules) -> dict[str, Schedule]:
    """The schedules that the mesh's choice axis offers, in its order."""
    return {str(value): rules.schedules[str(value)] for value in layouts.values["schedule"]}


def mesh_offloads(layouts: Layouts, rules: Rules) -> tuple[Offload, ...]:
    """The offloads that the mesh's choice axis offers, in its order; none where no plugin brings any."""
    return tuple(
        rules.offloads[str(value)] for value in layouts.values.get("offload", ()) if str(value) in rules.offloads
    )
