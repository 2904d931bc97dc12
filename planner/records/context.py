"""The context: everything that is the same for all layouts of a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from planner.domain.architecture import Architecture
from planner.domain.hardware import Cluster
from planner.domain.job import Job
from planner.domain.mesh import Array, Layouts
from planner.domain.running import Operating
from planner.program.parameters import Axis, Dimension, ParameterClass, ParameterGroup
from planner.program.program import Block, Program
from planner.records.frameworks import Framework, Numerics
from planner.records.states import LocalGroup, Optimizer, Precision, Storage

VOCABULARY_PADDING: Final = 128
"""Megatron pads each rank's vocabulary to a multiple of this (``--make-vocab-size-divisible-by``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One question, as functions of plugins see it: everything that is the same for all layouts."""

    program: Program
    job: Job
    cluster: Cluster
    precision: Precision
    optimizer: Optimizer
    framework: Framework
    storage: Storage
    numerics: Numerics
    divides: Mapping[Axis, str]
    operating: Operating = field(default_factory=Operating)

    @property
    def architecture(self) -> Architecture:
        """The model's hyper-parameters."""
        return self.program.architecture

    def local_groups(self, block: Block, layouts: Layouts) -> tuple[LocalGroup, ...]:
        """The parameter groups of `block` as one rank holds them, before ZeRO. Tied groups only where pp > 1."""
        padding = VOCABULARY_PADDING if self.framework.pads_vocabulary else 1
        sizes = _LocalSizes(self.divides, layouts, padding)
        return tuple(sizes.group(group) for group in block.parameters)

    def local_elements(
        self, block: Block, layouts: Layouts, *, trainable_only: bool = False
    ) -> dict[ParameterClass, Array]:
        """Parameters [elements] of `block` on one rank by class, before ZeRO; a class without parameters is absent.

        `trainable_only` leaves frozen groups out: they have no gradient and do not change.
        """
        found: dict[ParameterClass, Array] = {}
        for local in self.local_groups(block, layouts):
            if trainable_only and not local.group.trainable:
                continue
            kind = parameter_class(local.group, self.divides)
            found[kind] = found[kind] + local.elements if kind in found else local.elements
        return found

    @property
    def generation(self) -> str:
        """The accelerator's generation: the first word of its architecture (``Ampere``, ``Hopper`` …)."""
        return self.cluster.accelerator.architecture.split(" ")[0]

    def tokens(self, layouts: Layouts) -> Array:
        """Tokens of one micro-batch on one rank, before sequence parallelism: micro_batch · seq_len / cp."""
        return layouts["micro_batch"] * self.job.seq_len / layouts.degree("cp")


def parameter_class(group: ParameterGroup, divides: Mapping[Axis, str]) -> ParameterClass:
    """Routed experts; else whatever some degree divides; else replicated (FORMULAS section 1)."""
    axes = group.axes
    if Axis.EXPERTS in axes:
        return ParameterClass.EXPERT
    if not axes.isdisjoint(divides):
        return ParameterClass.TENSOR_PARALLEL
    return ParameterClass.REPLICATED


_ONE: Final = np.ones(1)


class _LocalSizes:
    """What a rank holds of each product of dimensions; groups of a block share most of them."""

    def __init__(self, divides: Mapping[Axis, str], layouts: Layouts, padding: int) -> None:
        self._divides, self._layouts, self._padding = divides, layouts, padding
        self._known: dict[tuple[Dimension, ...], Array] = {}

    def group(self, group: ParameterGroup) -> LocalGroup:
        """A group of parameters as one rank holds it."""
        count = self._size(group.stack)
        if group.tied:
            count = count * (self._layouts.degree("pp") > 1)
        return LocalGroup(group=group, count=count, rows=self._size(group.rows), columns=self._size(group.columns))

    def _size(self, dimensions: tuple[Dimension, ...]) -> Array:
        if dimensions not in self._known:
            total: Array = _ONE
            for axis, length in dimensions:
                if axis not in self._divides:
                    total = total * length
                    continue
                unit = self._padding if axis is Axis.VOCAB else 1
                total = total * (unit * np.ceil(length / (unit * self._layouts.degree(self._divides[axis]))))
            self._known[dimensions] = total
        return self._known[dimensions]
