"""What a checkpoint holds: the trained weights and everything the optimizer needs to go on."""

from __future__ import annotations

import numpy as np

from planner.domain.mesh import Layouts
from planner.plugin import Context, StateKind
from planner.search.model_states import optimizer_bytes
from planner.search.trace import scalar


def checkpoint_bytes(context: Context) -> float:
    """Bytes of one checkpoint, whatever the layout: weights as they are stored, master copy, optimizer states.

    Gradients are not in it, nor frozen weights, which the run starts from. BLOOM's checkpoint of 2.3 TB is these 14 bytes per
    parameter (BigScience, tr11-176B chronicles).
    """
    whole = Layouts({"tp": np.ones(1), "pp": np.ones(1)}, {}, {})
    shards = {kind: np.ones(1) for kind in StateKind}
    program, total = context.program, 0.0
    for block, count in zip(program.blocks, (1, *program.counts(), 1), strict=True):
        for local in context.local_groups(block, whole):
            if local.group.trainable:
                weights = scalar(local.elements) * context.storage.weight_bytes
                total += count * (weights + scalar(optimizer_bytes(context, local, shards)))
    return total
