"""One layout that is named in full: its memory and time, with every term, whether or not it could run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from planner.domain.mesh import Layouts
from planner.domain.plan import Assumption, EvaluateAnswer, Plan
from planner.errors import InputError
from planner.operating import operation_notes
from planner.plan_notes import host_notes, name_notes
from planner.plugin import Degree
from planner.question import Question
from planner.registry import Registry
from planner.search.plans import plans_of
from planner.search.refusing import refusals
from planner.search.space import all_degrees, check_axes, choice_values, derive, make_layouts
from planner.search.trace import memory_terms, time_terms
from planner.searching import detailed

if TYPE_CHECKING:
    from planner.api import Recipe

REFUSED: Final = ("This layout cannot run: its figures are what the formulas give, and mean little.",)


def answer_evaluate(
    question: Question,
    registry: Registry,
    recipe: Recipe,
    layout: Mapping[str, int | str],
    provenance: Mapping[str, Any],
) -> EvaluateAnswer:
    """Memory and time of one layout, with every term, whether or not it is allowed or fits."""
    context, rules = question.context, question.rules
    mesh, filled = exact_layout(question, registry, layout)
    plan = plans_of(context, mesh, rules, recipe.memory_headroom)[0]
    reasons = tuple(each.reason for each in refusals(context, mesh, rules) if bool(np.any(each.where)))
    return EvaluateAnswer(
        question=recipe.to_dict() | {"layout": dict(layout)},
        assumptions=(*question.assumptions, *filled),
        plan=_traced(question, mesh, plan),
        refusals=reasons,
        params=context.program.total_params,
        provenance=provenance,
        notes=(
            *name_notes(recipe, context.architecture),
            *(REFUSED if reasons else ()),
            *host_notes(plan),
            *operation_notes(context.operating),
        ),
    )


def exact_layout(
    question: Question, registry: Registry, layout: Mapping[str, int | str]
) -> tuple[Layouts, tuple[Assumption, ...]]:
    """The mesh of one layout: degrees not given are 1, dp follows from ``n_gpus``, the schedule from vpp.

    Raises InputError for what cannot be computed at all, UnknownNameError for an unknown axis or value.
    """
    context, rules = question.context, question.rules
    degrees = all_degrees(rules.strategies)
    choices = question.choices
    given = {axis: value for axis, value in layout.items() if axis != "n_gpus" and value is not None}
    filled = dict(given)
    for degree in degrees:
        if degree.name != "dp":
            filled.setdefault(degree.name, 1)
    _check_count(degrees, filled, layout.get("n_gpus"))
    filled.setdefault("dp", _remaining_dp(degrees, filled, layout.get("n_gpus")))
    filled.setdefault("zero", context.framework.default_zero if int(filled["dp"]) * int(filled.get("cp", 1)) > 1 else 0)
    filled.setdefault("schedule", "interleaved" if int(filled.get("vpp", 1)) > 1 else "1f1b")
    for choice in choices:
        filled.setdefault(choice.name, choice.values[0])
    filled["recompute"] = registry.recompute(str(filled["recompute"])).name
    check_axes(degrees, choices, given)
    tuples = {degree.name: np.asarray([float(_positive(degree.name, filled[degree.name]))]) for degree in degrees}
    chosen = {choice.name: choice_values(context, choice, filled) for choice in choices}
    mesh = make_layouts(derive(context, tuples), chosen).at(np.asarray([0]))
    assumed = tuple(
        Assumption(name=axis, value=value, origin="not given") for axis, value in filled.items() if axis not in given
    )
    return mesh, assumed


def _positive(axis: str, value: int | str) -> int:
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{axis} must be a whole number from 1 up, not {value!r}")
    return value


def _gpus(degrees: tuple[Degree, ...], filled: Mapping[str, int | str]) -> int:
    return prod(_positive(degree.name, filled[degree.name]) for degree in degrees if degree.multiplies_gpus)


def _check_count(degrees: tuple[Degree, ...], filled: Mapping[str, int | str], n_gpus: int | str | None) -> None:
    """A stated dp and a stated number of GPUs must agree. Raises InputError."""
    if n_gpus is None or "dp" not in filled:
        return
    product = _gpus(degrees, filled)
    if product != int(n_gpus):
        raise InputError(f"the degrees multiply to {product} GPUs, not to the {n_gpus} that were asked for")


def _remaining_dp(degrees: tuple[Degree, ...], filled: Mapping[str, int | str], n_gpus: int | str | None) -> int:
    if n_gpus is None:
        return 1
    product = _gpus(degrees, {**filled, "dp": 1})
    if int(n_gpus) % product:
        raise InputError(f"{n_gpus} GPUs are not a multiple of the {product} that the other degrees multiply to")
    return int(n_gpus) // product


def _traced(question: Question, layouts: Layouts, plan: Plan) -> Plan:
    """The plan in detail, with every term that it is the sum of."""
    return replace(
        detailed(question, layouts, plan),
        memory_terms=memory_terms(question.context, layouts, question.rules),
        time_terms=time_terms(question.context, layouts, question.rules),
    )
