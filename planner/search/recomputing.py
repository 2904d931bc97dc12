"""How many of a stage's layers run again: all, or so many of each model chunk; alone, or in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import Context, Recompute

RECOMPUTE_LAYERS = "recompute_layers"
"""The degree that counts layers, as Megatron-LM's ``--recompute-num-layers``: of a group that is run again together, or those
of each model chunk that run again at all."""


@dataclass(frozen=True, slots=True)
class LayersAgain:
    """Per layout: how many layers of each stage run again at most, and of how many layers a group is whose input is kept."""

    most: Array
    group: Array

    @classmethod
    def of(cls, layouts: Layouts, recomputes: Sequence[Recompute]) -> LayersAgain | None:
        """None where every layer of every layout is by itself, so that nothing needs to be computed."""
        counted = layouts.degree(RECOMPUTE_LAYERS)
        some = [float(recompute.some_layers) for recompute in recomputes]
        whole = [float(recompute.whole_layer and not recompute.some_layers) for recompute in recomputes]
        if not any(some) and bool((counted == 1).all()):
            return None
        most = np.where(layouts.choose("recompute", some) > 0, counted * layouts.degree("vpp"), np.inf)
        return cls(most, np.where(layouts.choose("recompute", whole) > 0, counted, 1.0))

    def share(self, layers: Array) -> Array:
        """Of `layers` on a stage, the fraction that runs again."""
        return np.minimum(1.0, self.most / np.maximum(1.0, layers))

    def inputs(self, layers: Array) -> Array:
        """Inputs that are kept per layer, for groups among `layers`."""
        return np.ceil(layers / self.group) / np.maximum(1.0, layers)


def share_of_model(context: Context, layouts: Layouts, recomputes: Sequence[Recompute]) -> Array:
    """The fraction of all layers that a layout's recomputation is about, were its stages even."""
    again = LayersAgain.of(layouts, recomputes)
    if again is None:
        return np.ones(1)
    return again.share(len(context.program.layers) / layouts.degree("pp"))
