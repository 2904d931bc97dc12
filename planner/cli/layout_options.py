"""The axes of a layout as options: pins for `plan`, the layout itself for `evaluate` and `explain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from planner.cli.command import AnyFunction, option
from planner.cli.recipe_options import POSITIVE
from planner.cli.value_types import whole_numbers, words

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

NUMBERS: Final = {
    "--tp": "Tensor-parallel degree.",
    "--pp": "Pipeline stages.",
    "--vpp": "Model chunks per pipeline stage (interleaving).",
    "--dp": "Data-parallel degree.",
    "--cp": "Context-parallel degree.",
    "--ep": "Expert-parallel degree.",
    "--etp": "Tensor-parallel degree within an expert.",
    "--zero": "ZeRO stage, 0 to 3 (3: FSDP).",
    "--shard-group": "Ranks that share ZeRO's states out (HSDP); 1: all replicas.",
    "--micro-batch": "Sequences of one micro-batch.",
    "--recompute-layers": "full: layers run again together; full:block: layers of each chunk run again.",
}
WORDS: Final = {
    "--recompute": ("POLICY", "As none, selective, full, full:block."),
    "--offload": ("WHAT", "To the host: as optimizer, parameters, activations."),
    "--schedule": ("NAME", "Pipeline schedule, as 1f1b, interleaved."),
}
_FLAG: Final = option(
    "--sequence-parallel/--no-sequence-parallel",
    default=None,
    section=LAYOUT,
    help="Divide the norms' activations among the tensor-parallel ranks.",
)


def layout_options(function: AnyFunction) -> AnyFunction:
    """Add the axes of one layout to a command."""
    decorators = [
        option(
            name,
            type=click.IntRange(0, 3) if name == "--zero" else POSITIVE,
            metavar="STAGE" if name == "--zero" else "N",
            section=LAYOUT,
            help=text,
        )
        for name, text in NUMBERS.items()
    ]
    decorators += [option(name, metavar=metavar, section=LAYOUT, help=text) for name, (metavar, text) in WORDS.items()]
    return _decorated(function, [*decorators, _FLAG])


def pin_options(function: AnyFunction) -> AnyFunction:
    """Add the axes of a space of layouts to a command: each may be pinned to one value or to several."""
    decorators = [
        option(name, type=whole_numbers, metavar="N,…", section=LAYOUT, help=text) for name, text in NUMBERS.items()
    ]
    decorators += [
        option(name, type=words, metavar=f"{metavar},…", section=LAYOUT, help=text)
        for name, (metavar, text) in WORDS.items()
    ]
    return _decorated(function, [*decorators, _FLAG])


def _decorated(function: AnyFunction, decorators: Sequence[Callable[[AnyFunction], AnyFunction]]) -> AnyFunction:
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def layout_of(given: dict[str, Any]) -> Mapping[str, Any]:
    """The axes that were given; takes all of them out of `given`."""
    values = {axis: given.pop(axis) for axis in AXES}
    return {
        axis: int(value) if isinstance(value, bool) else value for axis, value in values.items() if value is not None
    }
