"""Pipeline stages as a table: which layers each stage holds, and which stages can be the fullest or the slowest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, Layouts
from planner.plugin import Program


@dataclass(frozen=True, slots=True)
class Stage:
    """What stage `index` holds: layers by kind, and whether the embedding or the head."""

    index: int
    layers: tuple[int, ...]
    embedding: bool
    head: bool

    def dominated_by(self, other: Stage) -> bool:
        """Whether `other` holds at least as much of everything, in-flight micro-batches (which fall with the index) included."""
        return (
            other.index <= self.index
            and all(mine <= theirs for mine, theirs in zip(self.layers, other.layers, strict=True))
            and self.embedding <= other.embedding
            and self.head <= other.head
        )


def chunk_sizes(layers: int, chunks: int) -> tuple[int, ...]:
    """Layers per chunk, as even as can be; the chunks that get one more lie in the middle, away from embedding and head
    (as Llama 3 405B: 126 layers on 16 stages are 7, 14 × 8, 7; arXiv 2407.21783, section 3.3.2).

    >>> chunk_sizes(6, 4)
    (1, 2, 2, 1)
    """
    base, more = divmod(layers, chunks)
    first = (chunks - more) // 2
    return tuple(base + (first <= chunk < first + more) for chunk in range(chunks))


def split_stages(program: Program, pp: int, vpp: int) -> tuple[Stage, ...]:
    """The stages of a pipeline; chunk c of pp · vpp lies on stage c mod pp."""
    return split_layers(program.layers, len(program.kinds), pp, vpp)


def split_layers(layers: tuple[int, ...], kinds: int, pp: int, vpp: int) -> tuple[Stage, ...]:
    """The stages of `layers`, each of which is the number of its kind."""
    held = [[0] * kinds for _ in range(pp)]
    first = 0
    for chunk, size in enumerate(chunk_sizes(len(layers), pp * vpp)):
        for kind in range(kinds):
            held[chunk % pp][kind] += layers[first : first + size].count(kind)
        first += size
    return tuple(Stage(index, tuple(held[index]), index == 0, index == pp - 1) for index in range(pp))


def within(layers: int, pp: int, vpp: int) -> tuple[int, int]:
    """Stages and chunks per stage that `layers` are enough for, the embedding and the head counted as one each: more are refused
    by the pipeline strategy, and evaluated as if there were fewer."""
    chunks = min(pp * vpp, layers + 2 if vpp > 1 else layers)
    pp = min(pp, chunks)
    return pp, max(1, chunks // pp)


def representatives(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages that no other dominates: all that a maximum over stages needs to look at."""
    kept: list[Stage] = []
    for stage in stages:
        if kept and stage.layers == kept[-1].layers and not stage.head:
            continue  # the common case: as an earlier stage
        if not any(stage.dominated_by(other) for other in kept):
            kept = [other for other in kept if not other.dominated_by(stage)]
            kept.append(stage)
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class StageColumn:
    """One representative stage of every layout: arrays of shape (N,)."""

    index: Array
    layers: tuple[Array, ...]
    embedding: Array
    head: Array


def stage_columns(program: Program, layouts: Layouts) -> tuple[StageColumn, ...]:
    """The representatives of every layout, as columns to be reduced one at a time; short lists repeat their last stage."""
    pp = layouts["pp"].astype(np.int64)
    vpp = layouts.degree("vpp").astype(np.int64)
    most = max(len(program.layers), int(vpp.max())) + 1
    codes, inverse = np.unique(pp * most + np.broadcast_to(vpp, pp.shape), return_inverse=True)
    kinds = len(program.kinds)
    tables = [_table(program.layers, kinds, int(code) // most, int(code) % most) for code in codes]
    depth = max(len(table) for table in tables)
    return tuple(_column([table[min(row, len(table) - 1)] for table in tables], inverse) for row in range(depth))


@lru_cache(maxsize=1 << 14)
def _table(layers: tuple[int, ...], kinds: int, pp: int, vpp: int) -> tuple[Stage, ...]:
    pp, vpp = within(len(layers), pp, vpp)
    return representatives(split_layers(layers, kinds, pp, vpp))


def _column(stages: list[Stage], inverse: NDArray[np.intp]) -> StageColumn:
    def spread(values: list[int]) -> Array:
        return np.asarray(values, dtype=np.float64)[inverse]

    kinds = range(len(stages[0].layers))
    return StageColumn(
        index=spread([stage.index for stage in stages]),
        layers=tuple(spread([stage.layers[kind] for stage in stages]) for kind in kinds),
        embedding=spread([stage.embedding for stage in stages]),
        head=spread([stage.head for stage in stages]),
    )
