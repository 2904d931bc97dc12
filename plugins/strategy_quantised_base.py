"""Quantised bases: what working on 4-bit weights needs beside them.

Source: FORMULAS section 2 (measured by canifinetune): dequantising takes about two of the largest matrices in the compute
format.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.plugin import Array, Buffer, Component, Context, Layouts, Strategy, hookimpl


def buffers(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """Two of the largest quantised matrices, in the compute format."""
    largest: Array = np.zeros(1)
    for block in context.program.kinds:
        for local in context.local_groups(block, layouts):
            rest = local.group.rest_bytes
            if rest is not None and rest < context.precision.activation_bytes:
                largest = np.maximum(largest, local.rows * local.columns)
    if largest.any():
        size = 2.0 * largest * context.precision.activation_bytes
        yield Buffer(name="dequantised weights", component=Component.OTHER, bytes=size)


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    """No axis and no collective: only the workspace."""
    yield Strategy(name="quantised base", buffers=buffers, source="FORMULAS section 2, LoRA and QLoRA")
