"""How the model is trained: the options that `plan`, `evaluate` and `explain` share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from planner.cli.command import AnyFunction, option
from planner.cli.operation_options import operation_of, operation_options
from planner.cli.value_types import key_and_value, quantity

if TYPE_CHECKING:
    from planner.api import Recipe

JOB: Final = "Job"
RECIPE: Final = "Recipe"
POSITIVE: Final = click.IntRange(min=1)

_OPTIONS: Final = (
    option("--cluster", metavar="CLUSTER", section=JOB,
           help="A cluster (a100-pool), or GPU:COUNT (rtx-4090:8), or GPU:NODESxPER_NODE (h100-sxm5-80gb:64x8)."),
    option("--node", metavar="NODE", section=JOB, help="The node type of a bare GPU; default: its reference node."),
    option("--seq-len", type=POSITIVE, metavar="TOKENS", section=JOB, help="Tokens of one sequence."),
    option("--global-batch", type=POSITIVE, metavar="N", section=JOB, help="Sequences of one optimizer step."),
    option("--tokens", type=quantity, metavar="N", section=JOB,
           help="Tokens of the whole run, as 15T; default: 20 per parameter."),
    option("--precision", metavar="NAME", section=RECIPE, help="As bf16-mixed, fp16-mixed, fp8-delayed."),
    option("--optimizer", metavar="NAME", section=RECIPE, help="As adamw, adafactor, muon."),
    option("--method", metavar="NAME", default="full", show_default=True, section=RECIPE, help="What is trained."),
    option("--framework", metavar="NAME", section=RECIPE, help="As megatron-core, torchtitan."),
    option("--attention", metavar="KERNEL", section=RECIPE, help="The attention kernel, as flash."),
    option("--loss", metavar="NAME", default="framework", show_default=True, section=RECIPE,
           help="The loss: the framework's own, fused, fused-linear."),
    option("--capacity-factor", type=click.FloatRange(min=1), metavar="FACTOR", section=RECIPE,
           help="Token copies per expert over an even share: padding, or uneven routing."),
    option("--flops-convention", metavar="NAME", default="causal", show_default=True, section=RECIPE,
           help="How MFU counts the model's FLOPs: causal, full (attention), palm, 6n."),
    option("--memory-headroom", type=click.FloatRange(0, 1, max_open=True), default=0.05, show_default=True,
           metavar="FRACTION", section=RECIPE, help="Device memory to keep free."),
    option("--set", "settings", type=key_and_value, multiple=True, metavar="KEY=VALUE", section=RECIPE,
           help="An option of a plugin; may be repeated."),
)  # fmt: skip


def recipe_options(function: AnyFunction) -> AnyFunction:
    """Add the options of a recipe to a command."""
    function = operation_options(function)
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


def recipe_of(model: str, given: dict[str, Any]) -> Recipe:
    """The recipe that the options describe; takes its options out of `given`."""
    from planner.api import Recipe

    if given["cluster"] is None:
        # Not `required` on the option: a file of runs needs no cluster.
        raise click.UsageError("missing option '--cluster'", click.get_current_context())
    settings: Iterable[tuple[str, str]] = given.pop("settings")
    names = (
        "cluster", "node", "seq_len", "global_batch", "tokens", "precision", "optimizer", "method", "framework",
        "attention", "loss", "capacity_factor", "flops_convention", "memory_headroom",
    )  # fmt: skip
    operation = operation_of(given)
    return Recipe(model=model, options=dict(settings), operation=operation, **{name: given.pop(name) for name in names})
