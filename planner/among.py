"""One question put to several clusters or frameworks: an answer each, side by side, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from planner.choosing import rank
from planner.domain.plan import Compared, NearestMiss, Plan, PlanAnswer
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from planner.api import Recipe


def answer_among(recipes: Sequence[Recipe], objective: str, ask: Callable[[Recipe], PlanAnswer]) -> PlanAnswer:
    """The answer of the recipe that wins, with all of them compared: the fastest or the one of least energy by those objectives,
    else the cheapest, then the fewest GPUs.

    A recipe that cannot be asked (no price, a precision that its accelerator lacks …) is compared with the reason. Raises
    UnknownNameError for a name that nothing has, and the first InputError where no recipe can be asked.
    """
    answers: list[tuple[Recipe, PlanAnswer]] = []
    compared: list[Compared] = []
    faults: list[InputError] = []
    for recipe in recipes:
        try:
            answer = ask(recipe)
        except UnknownNameError:
            raise
        except InputError as fault:
            faults.append(fault)
            compared.append(Compared(cluster=recipe.cluster, framework=recipe.framework, error=fault.message))
            continue
        answers.append((recipe, answer))
        compared.append(_entry(recipe, answer))
    if not answers:
        raise faults[0]
    compared.sort(key=lambda entry: _order(entry.recommended, entry.nearest_miss, objective))
    answers.sort(key=lambda pair: _order(pair[1].recommended, pair[1].nearest_miss, objective))
    _recipe, best = answers[0]
    return replace(best, compared=tuple(compared))


def _order(plan: Plan | None, miss: NearestMiss | None, objective: str) -> tuple[float, ...]:
    """What answers are sorted by: the goal (the fewest GPUs say nothing across clusters, so cost stands in for them); then the
    misses, those of a limit before those of memory, by how far they miss, and those that have no layout as asked for."""
    if plan is not None:
        return (0.0, *rank(plan, "cost" if objective == "min-gpus" else objective))
    if miss is None or miss.moved:
        return (3.0,)
    return (2.0 if miss.missing_bytes else 1.0, miss.excess)


def _entry(recipe: Recipe, answer: PlanAnswer) -> Compared:
    price = answer.provenance.get("price")
    return Compared(
        cluster=recipe.cluster,
        framework=str(answer.provenance["framework"]["name"]),
        accelerator=str(answer.provenance["accelerator"]["slug"]),
        price=price,
        min_gpus=answer.min_gpus,
        recommended=answer.recommended,
        nearest_miss=answer.nearest_miss,
        why=answer.why,
    )
