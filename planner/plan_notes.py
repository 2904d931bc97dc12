"""What a reader of an answer must know besides its figures, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from planner.domain.architecture import Architecture
from planner.domain.plan import Plan
from planner.question import Question

if TYPE_CHECKING:
    from planner.api import Recipe

HOSTED: Final = (
    "What is offloaded travels at 78 % of the host link's nominal rate, and the time of the host's optimizer is uncertain by a "
    "factor of three (0.24 ns per parameter and node).",
)


def network_notes(question: Question) -> tuple[str, ...]:
    """Says that layouts over several nodes are left out where nothing is known of the network."""
    cluster = question.context.cluster
    if cluster.nodes == 1 or cluster.node.network_bytes_per_s is not None:
        return ()
    return (
        f"The network of {cluster.slug} is not known: only layouts within one scale-up domain or node are considered.",
    )


def host_notes(plan: Plan | None) -> tuple[str, ...]:
    """Says how exact the figures are of what is kept in the host's memory."""
    return HOSTED if plan is not None and plan.layout.get("offload") else ()


def name_notes(recipe: Recipe, architecture: Architecture) -> tuple[str, ...]:
    """Says once where a name stands for a model of another name."""
    if recipe.model.lower() in (architecture.slug, architecture.name.lower()) or recipe.model.endswith(".json"):
        return (architecture.note,) if architecture.note else ()
    alias = f"{recipe.model} is read as {architecture.slug} ({architecture.name})."
    return (alias, architecture.note) if architecture.note else (alias,)
