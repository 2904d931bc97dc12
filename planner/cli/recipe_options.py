"""How the model is trained: the options that `plan`, `evaluate` and `explain` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

_ONE_CLUSTER: Final = option(
    "--cluster", metavar="CLUSTER", section=JOB,
    help="A cluster (a100-pool), or GPU:COUNT (rtx-4090:8), or GPU:NODESxPER_NODE (h100-sxm5-80gb:64x8).",
)  # fmt: skip
_SEVERAL_CLUSTERS: Final = option(
    "--cluster", "clusters", metavar="CLUSTER", section=JOB, multiple=True,
    help="A cluster (a100-pool), or GPU:COUNT (rtx-4090:8), or GPU:NODESxPER_NODE (h100-sxm5-80gb:64x8), or any; may be repeated.",
)  # fmt: skip
_ONE_FRAMEWORK: Final = option("--framework", metavar="NAME", section=RECIPE, help="As megatron-core, torchtitan.")
_SEVERAL_FRAMEWORKS: Final = option(
    "--framework", "frameworks", metavar="NAME", section=RECIPE, multiple=True,
    help="As megatron-core, torchtitan; may be repeated.",
)  # fmt: skip
_OPTIONS: Final = (
    option("--node", metavar="NODE", section=JOB, help="The node type of a bare GPU; default: its reference node."),
    option("--seq-len", type=POSITIVE, metavar="TOKENS", section=JOB, help="Tokens of one sequence."),
    option("--global-batch", type=POSITIVE, metavar="N", section=JOB, help="Sequences of one optimizer step."),
    option("--tokens", type=quantity, metavar="N", section=JOB,
           help="Tokens of the whole run, as 15T; default: 20 per parameter."),
    option("--precision", metavar="NAME", section=RECIPE, help="As bf16-mixed, fp16-mixed, fp8-delayed."),
    option("--optimizer", metavar="NAME", section=RECIPE, help="As adamw, adafactor, muon."),
    option("--method", metavar="NAME", default="full", show_default=True, section=RECIPE, help="What is trained."),
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
    return _decorated(function, _ONE_CLUSTER, _ONE_FRAMEWORK)


def recipes_options(function: AnyFunction) -> AnyFunction:
    """Add the options of recipes to a command, which differ in cluster and framework."""
    return _decorated(function, _SEVERAL_CLUSTERS, _SEVERAL_FRAMEWORKS)


def _decorated(
    function: AnyFunction,
    cluster: Callable[[AnyFunction], AnyFunction],
    framework: Callable[[AnyFunction], AnyFunction],
) -> AnyFunction:
    function = operation_options(function)
    for decorate in (*reversed(_OPTIONS), framework, cluster):
        function = decorate(function)
    return function


def recipe_of(model: str, given: dict[str, Any]) -> Recipe:
    """The recipe that the options describe; takes its options out of `given`."""
    cluster, framework = given.pop("cluster"), given.pop("framework")
    clusters = () if cluster is None else (cluster,)
    return _recipes(model, clusters, (framework,), given)[0]


def recipes_of(model: str, given: dict[str, Any]) -> list[Recipe]:
    """A recipe for each cluster and framework that the options name; takes their options out of `given`."""
    clusters, frameworks = given.pop("clusters"), given.pop("frameworks")
    return _recipes(model, clusters, frameworks or (None,), given)


def _recipes(
    model: str, clusters: Sequence[str], frameworks: Sequence[str | None], given: dict[str, Any]
) -> list[Recipe]:
    from planner.api import Recipe

    if not clusters:
        # Not `required` on the option: a file of runs needs no cluster.
        raise click.UsageError("missing option '--cluster'", click.get_current_context())
    settings: Iterable[tuple[str, str]] = given.pop("settings")
    names = (
        "node", "seq_len", "global_batch", "tokens", "precision", "optimizer", "method", "attention", "loss",
        "capacity_factor", "flops_convention", "memory_headroom",
    )  # fmt: skip
    operation = operation_of(given)
    plain = {name: given.pop(name) for name in names}
    return [
        Recipe(model=model, cluster=cluster, framework=framework, options=dict(settings), operation=operation, **plain)
        for cluster in clusters
        for framework in frameworks
    ]
