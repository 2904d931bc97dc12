"""Pipeline stages of every layout at once: each representative stage is a column of arrays over layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Context, Schedule, Value
from planner.search.stages import HeadShare, Stage, head_share, representatives, split_layers, within


@dataclass(frozen=True, slots=True)
class StageColumn:
    """One representative stage of every layout: arrays of shape (N,)."""

    index: Array
    layers: tuple[Array, ...]
    embedding: Array
    head: Array

    def where(self, chosen: Mask, other: StageColumn) -> StageColumn:
        """This stage in the layouts that are chosen, elsewhere the other."""
        return StageColumn(
            index=np.where(chosen, self.index, other.index),
            layers=tuple(np.where(chosen, *counts) for counts in zip(self.layers, other.layers, strict=True)),
            embedding=np.where(chosen, self.embedding, other.embedding),
            head=np.where(chosen, self.head, other.head),
        )


def stage_columns(context: Context, layouts: Layouts) -> tuple[StageColumn, ...]:
    """The representatives of every layout, as columns to be reduced one at a time; short lists repeat their last stage."""
    program, head = context.program, head_share(context)
    pp = layouts["pp"].astype(np.int64)
    vpp = layouts.degree("vpp").astype(np.int64)
    most = max(len(program.layers), int(vpp.max())) + 1
    codes, inverse = np.unique(pp * most + np.broadcast_to(vpp, pp.shape), return_inverse=True)
    kinds = len(program.kinds)
    tables = [_table(program.layers, kinds, int(code) // most, int(code) % most, head) for code in codes]
    depth = max(len(table) for table in tables)
    return tuple(_column([table[min(row, len(table) - 1)] for table in tables], inverse) for row in range(depth))


@lru_cache(maxsize=1 << 14)
def _table(layers: tuple[int, ...], kinds: int, pp: int, vpp: int, head: HeadShare) -> tuple[Stage, ...]:
    pp, vpp = within(len(layers), pp, vpp)
    return representatives(split_layers(layers, kinds, pp, vpp, head))


def _column(stages: list[Stage], inverse: NDArray[np.intp]) -> StageColumn:
    def spread(values: list[int]) -> Array:
        return np.asarray(values, dtype=np.float64).take(inverse)

    kinds = range(len(stages[0].layers))
    return StageColumn(
        index=spread([stage.index for stage in stages]),
        layers=tuple(spread([stage.layers[kind] for stage in stages]) for kind in kinds),
        embedding=spread([stage.embedding for stage in stages]),
        head=spread([stage.head for stage in stages]),
    )


def placed_columns(
    layouts: Layouts, schedules: Mapping[str, Schedule], columns: Sequence[StageColumn]
) -> tuple[StageColumn, ...]:
    """Every column with the head where the layout's schedule puts it: on the last stage, or on the first where chunks lie in
    a V."""
    folds = [schedule.folded for schedule in schedules.values()]
    if not any(folds):
        return tuple(columns)
    folded = np.asarray(layouts.choose("schedule", folds), dtype=np.bool_)
    return tuple(replace(column, head=np.where(folded, column.embedding, column.head)) for column in columns)


def timed_columns(
    layouts: Layouts, schedules: Mapping[str, Schedule], columns: Sequence[StageColumn]
) -> tuple[StageColumn, ...]:
    """Every column as a micro-batch sees it on average: where a device runs a stage from each end for two directions, half of
    the micro-batches meet the embedding and half the head on it, the first device as the last one."""
    twice = [schedule.parameter_copies > 1.0 for schedule in schedules.values()]
    if not any(twice):
        return tuple(columns)
    mirrored = np.asarray(layouts.choose("schedule", twice), dtype=np.bool_)
    found = []
    for column in columns:
        half = (column.embedding + column.head) / 2
        embedding, head = np.where(mirrored, half, column.embedding), np.where(mirrored, half, column.head)
        found.append(replace(column, embedding=embedding, head=head))
    return tuple(found)


def parameter_copies(layouts: Layouts, schedules: Mapping[str, Schedule]) -> Array:
    """How often a device keeps its parameters and their states; one number where no schedule keeps them twice."""
    copies = [schedule.parameter_copies for schedule in schedules.values()]
    if all(number == 1.0 for number in copies):
        return np.ones(1)
    return layouts.choose("schedule", copies)


def over_stage(column: StageColumn, blocks: Sequence[Value]) -> Array:
    """The sum over what a stage holds of one value per block (embedding, kinds of layers, head)."""
    total: Array = column.embedding * blocks[0]
    for count, value in zip(column.layers, blocks[1:-1], strict=True):
        total = total + count * value
    return total + column.head * blocks[-1]


def over_stage_max(column: StageColumn, blocks: Sequence[Array]) -> Array:
    """The largest value among the blocks that a stage holds."""
    largest: Array = column.embedding * blocks[0]
    for count, value in zip(column.layers, blocks[1:-1], strict=True):
        largest = np.maximum(largest, np.where(count > 0, value, 0.0))
    return np.maximum(largest, column.head * blocks[-1])


def layers_on(column: StageColumn) -> Array:
    """How many layers a stage holds."""
    total: Array = np.zeros(1)
    for count in column.layers:
        total = total + count
    return total
