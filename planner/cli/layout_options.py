"""The axes of a layout as options: pins for `plan`, the layout itself for `evaluate` and `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from planner.cli.command import AnyFunction, option
from planner.cli.recipe_options import POSITIVE

LAYOUT: Final = "Layout"
AXES: Final = (
    "tp",
    "pp",
    "vpp",
    "dp",
    "cp",
    "ep",
    "etp",
    "zero",
    "shard_group",
    "sequence_parallel",
    "micro_batch",
    "recompute",
    "recompute_layers",
    "schedule",
    "offload",
)

_OPTIONS: Final = (
    option("--tp", type=POSITIVE, metavar="N", section=LAYOUT, help="Tensor-parallel degree."),
    option("--pp", type=POSITIVE, metavar="N", section=LAYOUT, help="Pipeline stages."),
    option("--vpp", type=POSITIVE, metavar="N", section=LAYOUT, help="Model chunks per pipeline stage (interleaving)."),
    option("--dp", type=POSITIVE, metavar="N", section=LAYOUT, help="Data-parallel degree."),
    option("--cp", type=POSITIVE, metavar="N", section=LAYOUT, help="Context-parallel degree."),
    option("--ep", type=POSITIVE, metavar="N", section=LAYOUT, help="Expert-parallel degree."),
    option("--etp", type=POSITIVE, metavar="N", section=LAYOUT, help="Tensor-parallel degree within an expert."),
    option("--zero", type=click.IntRange(0, 3), metavar="STAGE", section=LAYOUT, help="ZeRO stage, 0 to 3 (3: FSDP)."),
    option("--shard-group", type=POSITIVE, metavar="N", section=LAYOUT,
           help="Ranks that share ZeRO's states out (HSDP); 1: all replicas."),
    option("--sequence-parallel/--no-sequence-parallel", default=None, section=LAYOUT,
           help="Divide the norms' activations among the tensor-parallel ranks."),
    option("--micro-batch", type=POSITIVE, metavar="N", section=LAYOUT, help="Sequences of one micro-batch."),
    option("--recompute", metavar="POLICY", section=LAYOUT, help="As none, selective, full, full:block."),
    option("--recompute-layers", type=POSITIVE, metavar="N", section=LAYOUT,
           help="full: layers run again together; full:block: layers of each chunk run again."),
    option("--offload", metavar="WHAT", section=LAYOUT, help="To the host: as optimizer, parameters, activations."),
    option("--schedule", metavar="NAME", section=LAYOUT, help="Pipeline schedule, as 1f1b, interleaved."),
)  # fmt: skip


def layout_options(function: AnyFunction) -> AnyFunction:
    """Add the axes of a layout to a command."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


def layout_of(given: dict[str, Any]) -> Mapping[str, int | str]:
    """The axes that were given; takes all of them out of `given`."""
    values = {axis: given.pop(axis) for axis in AXES}
    return {
        axis: int(value) if isinstance(value, bool) else value for axis, value in values.items() if value is not None
    }
