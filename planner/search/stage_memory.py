"""Memory of every stage of a pipeline at every instant of a step: what a picture of the pipeline shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.domain.plan import MEMORY_COMPONENTS, StageMemory
from planner.plugin import Context
from planner.search.columns import StageColumn, placed_columns
from planner.search.factoring import Factoring
from planner.search.in_flight import chunks_held, in_flight
from planner.search.memory import MemoryParts, stage_instants
from planner.search.memory_terms import MemoryTerms
from planner.search.rules import Rules, mesh_schedules
from planner.search.stages import head_share, split_stages, within


def stage_memories(context: Context, layouts: Layouts, rules: Rules) -> tuple[StageMemory, ...]:
    """Every stage of one layout (a mesh of one), first to last.

    A search looks at the stages that no other dominates, one column each; here all stages are one column, so that the
    same sum gives each of them in one pass.
    """
    column = _every_stage(context, int(layouts["pp"][0]), int(layouts.degree("vpp")[0]))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        schedules = mesh_schedules(layouts, rules)
        columns = placed_columns(layouts, schedules, (column,))
        parts = MemoryParts.of(MemoryTerms(context, Factoring(layouts), rules))
        residual = parts.activations.residual
        held = ((chunks_held(context, layouts, schedules, column), column) for column in columns)
        flying = tuple(in_flight(context, layouts, chunks, column, residual) for chunks, column in held)
        parts = replace(parts, in_flight=flying)
        instants = {
            instant.value: {name: np.broadcast_to(components[name], column.index.shape) for name in MEMORY_COMPONENTS}
            for _column, instant, components, _total in stage_instants(context, parts, columns)
        }
    return tuple(
        StageMemory(
            stage=stage,
            instants={
                instant: {name: float(sizes[stage]) for name, sizes in components.items()}
                for instant, components in instants.items()
            },
        )
        for stage in range(len(column.index))
    )


def _every_stage(context: Context, pp: int, vpp: int) -> StageColumn:
    """All stages side by side."""
    program = context.program
    stages = split_stages(program, *within(len(program.layers), pp, vpp), head_share(context))

    def spread(values: list[int]) -> Array:
        return np.asarray(values, dtype=np.float64)

    return StageColumn(
        index=spread([stage.index for stage in stages]),
        layers=tuple(spread([stage.layers[kind] for stage in stages]) for kind in range(len(program.kinds))),
        embedding=spread([stage.embedding for stage in stages]),
        head=spread([stage.head for stage in stages]),
    )
