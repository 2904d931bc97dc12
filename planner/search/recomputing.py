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
    """Per layout: how many layers of each model chunk run again at most, of how many layers a group is whose input is kept, and
    how many chunks a stage has."""

    most: Array
    counted: Array
    chunks: Array

    @classmethod
    def of(cls, layouts: Layouts, recomputes: Sequence[Recompute]) -> LayersAgain | None:
        """None where every layer of every layout is by itself, so that nothing needs to be computed."""
        counted = layouts.degree(RECOMPUTE_LAYERS)
        some = [float(recompute.some_layers) for recompute in recomputes]
        whole = [float(recompute.whole_layer and not recompute.some_layers) for recompute in recomputes]
        if not any(some) and bool((counted == 1).all()):
            return None
        most = np.where(layouts.choose("recompute", some) > 0, counted, np.inf)
        group = np.where(layouts.choose("recompute", whole) > 0, counted, 1.0)
        return cls(most, group, layouts.degree("vpp"))

    def group(self, layers: Array) -> Array:
        """The layers of a group on a stage of `layers`: no group reaches beyond its chunk."""
        return np.maximum(1.0, np.minimum(self.counted, np.ceil(layers / self.chunks)))

    def share(self, layers: Array) -> Array:
        """Of `layers` on a stage, the fraction that runs again."""
        return np.minimum(1.0, self.most * self.chunks / np.maximum(1.0, layers))

    def inputs(self, layers: Array) -> Array:
        """Inputs that are kept per layer that runs again: one for each group of each chunk."""
        groups = self.chunks * np.ceil(layers / self.chunks / self.group(layers))
        return np.minimum(1.0, groups / np.maximum(1.0, layers))


def share_of_model(context: Context, layouts: Layouts, recomputes: Sequence[Recompute]) -> Array:
    """The fraction of all layers that a layout's recomputation is about, were its stages even."""
    again = LayersAgain.of(layouts, recomputes)
    if again is None:
        return np.ones(1)
    return again.share(len(context.program.layers) / layouts.degree("pp"))
