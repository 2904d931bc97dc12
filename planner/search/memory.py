"""Bytes on the fullest rank: by component, stage and instant (FORMULAS sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.domain.mesh import Array, Mask
from planner.domain.plan import MEMORY_COMPONENTS
from planner.plugin import Buffer, Context, Instant
from planner.search.columns import StageColumn
from planner.search.in_flight import InFlight, in_flight
from planner.search.layer_activations import Activations
from planner.search.memory_terms import MemoryTerms
from planner.search.model_states import BlockStates
from planner.search.offloading import Moved, host_bytes
from planner.search.on_stage import (
    HOLDING_ALL,
    StageStates,
    largest_saved,
    saved_on_stage,
    stage_states,
    working_on_stage,
)
from planner.search.overheads import overhead_bytes

INSTANTS: Final = tuple(Instant)
WITH_PERSISTENT_GRADIENTS: Final = (Instant.FORWARD, Instant.LOSS, Instant.BACKWARD, Instant.OPTIMIZER)
"""Where all gradients exist all the time, the first layer's backward holds at least as much as the later ones."""


@dataclass(frozen=True, slots=True)
class MemoryParts:
    """All that the total of a stage at an instant is summed from, for every layout of a mesh."""

    states: tuple[BlockStates, ...]
    whole_states: tuple[BlockStates, ...]
    moved: Moved | None
    activations: Activations
    buffers: tuple[Buffer, ...]
    in_flight: tuple[InFlight, ...]
    accumulates: Mask
    communicators: Array

    @classmethod
    def of(cls, terms: MemoryTerms) -> MemoryParts:
        """The parts of a mesh, with what is in flight on its representative stages."""
        activations = terms.activations()
        held = zip(terms.chunks_held(), terms.columns(), strict=True)
        return cls(
            states=terms.states(),
            whole_states=terms.whole_states(),
            moved=terms.moved,
            activations=activations,
            buffers=terms.buffers(),
            in_flight=tuple(
                in_flight(terms.context, terms.layouts, chunks, column, activations.residual) for chunks, column in held
            ),
            accumulates=terms.accumulates,
            communicators=terms.communicators(),
        )


def components_at(
    context: Context, parts: MemoryParts, column: StageColumn, flying: InFlight, instant: Instant
) -> dict[str, Array]:
    """Bytes by component on the ranks of one stage at one instant."""
    activations = working_on_stage(parts.activations, column, instant)
    if instant in HOLDING_ALL:
        activations = _held(parts, column, flying) + activations
    states = stage_states(context, parts.states, column, parts.accumulates, instant)
    found = allocated(states, activations, parts.buffers, instant)
    total = but_other(found) + found["other"]
    found["other"] = found["other"] + overhead_bytes(context, parts.communicators, total)
    return found


def allocated(states: StageStates, activations: Array, buffers: Sequence[Buffer], instant: Instant) -> dict[str, Array]:
    """Bytes by component without what the device adds: states, activations, and buffers on top of either."""
    found = {
        "weights": states.weights,
        "gradients": states.gradients,
        "optimizer": states.optimizer,
        "activations": activations,
        "other": np.zeros(1),
    }
    for buffer in buffers:
        if instant in buffer.instants:
            found[buffer.component.value] = found[buffer.component.value] + buffer.bytes
    return found


def but_other(components: Mapping[str, Array]) -> Array:
    """The sum of all components but the last."""
    first, *names = MEMORY_COMPONENTS[:-1]
    total = components[first]
    for name in names:
        total = total + components[name]
    return total


def _held(parts: MemoryParts, column: StageColumn, flying: InFlight) -> Array:
    """What a stage holds of the micro-batches in flight, before the first backward frees any of it."""
    saved = saved_on_stage(parts.activations, column)
    embedding = column.embedding * parts.activations.embedding
    held = saved * flying.micro_batches + embedding * flying.embeddings + flying.outputs
    return held if parts.moved is None else parts.moved.held(held, largest_saved(parts.activations, column))


def fullest_host_bytes(parts: MemoryParts, columns: Sequence[StageColumn]) -> Array:
    """What the rank with most in the host's memory keeps there; 0 where nothing moves."""
    fullest: Array = np.zeros(1)
    if parts.moved is None:
        return fullest
    for column, flying in zip(columns, parts.in_flight, strict=True):
        saved = saved_on_stage(parts.activations, column) * flying.micro_batches
        fullest = np.maximum(fullest, host_bytes(parts.moved, column, parts.whole_states, saved))
    return fullest


def instants_of(context: Context) -> tuple[Instant, ...]:
    """Those at which a stage can be fullest."""
    return WITH_PERSISTENT_GRADIENTS if context.framework.persistent_gradients else INSTANTS


def stage_instants(
    context: Context, parts: MemoryParts, columns: Sequence[StageColumn]
) -> Iterator[tuple[StageColumn, Instant, dict[str, Array], Array]]:
    """Every representative stage at every instant: components and their total."""
    for column, flying in zip(columns, parts.in_flight, strict=True):
        for instant in instants_of(context):
            components = components_at(context, parts, column, flying, instant)
            yield column, instant, components, but_other(components) + components["other"]
