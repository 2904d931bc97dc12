"""One question put to several clusters or frameworks: an answer each, side by side, and the best of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from planner.domain.plan import Compared, Plan, PlanAnswer
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
    compared.sort(key=lambda entry: rank(entry.recommended, objective))
    answers.sort(key=lambda pair: rank(pair[1].recommended, objective))
    _recipe, best = answers[0]
    return replace(best, compared=tuple(compared))


def rank(plan: Plan | None, objective: str) -> tuple[float, float, float]:
    """What answers are sorted by, least first; what is not known, or does not fit, comes last."""
    if plan is None:
        return (inf, inf, inf)
    cost = inf if plan.cost_usd is None else plan.cost_usd
    if objective == "time":
        return (plan.duration_s, cost, plan.n_gpus)
    if objective == "energy":
        return (inf if plan.energy_kwh is None else plan.energy_kwh, cost, plan.n_gpus)
    return (cost, plan.n_gpus, plan.duration_s)


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
    )
