"""The answer to random questions against every layout on its own: pins, bans, limits, several clusters and frameworks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from planner import Catalog, api
from planner.api import Recipe, Search, plan_among
from planner.choosing import rank
from planner.registry import load_registry
from planner.search.plans import plans_of
from planner.search.refusing import refused
from planner.search.space import all_degrees, derive, make_layouts

REGISTRY = load_registry(disable="*")
HEADROOM = 0.05
FINER = {"recompute_layers": 1, "shard_group": 1, "cp_kind": "ring", "reshard_after_forward": 1, "offload": "none"}
"""Axes that a search opens after the others, step by step: here pinned, so that there is one space."""
RECIPE = Recipe(model="llama-3.2-1b", cluster="", seq_len=4096, global_batch=4, tokens=1e9)


def every_plan(recipe: Recipe, pins: dict, banned: dict, most: int):
    """Each layout of up to `most` GPUs that is allowed and fits, evaluated as a mesh of one."""
    with Catalog.open(None) as catalog:
        question = api._question(catalog, REGISTRY, recipe)
    context, rules = question.context, question.rules
    given = {**pins, **banned}
    values = {}
    for axis in (*all_degrees(rules.strategies), *question.choices):
        offered = getattr(axis, "values", ()) if axis.candidates is None else axis.candidates(context)
        pin = given.get(axis.name, tuple(context.framework.offers.get(axis.name, offered)))
        values[axis.name] = pin if isinstance(pin, tuple) else (pin,)
    choices = [choice.name for choice in question.choices]
    for combination in product(*values.values()):
        layout = dict(zip(values, combination, strict=True))
        gpus = np.prod([layout[axis] for axis in ("tp", "pp", "cp", "dp")])
        if gpus > most or gpus > context.cluster.accelerators:
            continue
        degrees = {axis: np.asarray([float(value)]) for axis, value in layout.items() if axis not in choices}
        mesh = make_layouts(derive(context, degrees), {axis: (layout[axis],) for axis in choices})
        if refused(context, mesh, rules).any():
            continue
        (plan,) = plans_of(context, mesh.at(np.asarray([0])), rules, HEADROOM)
        if plan.memory.fits:
            yield plan


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.explicit, Phase.generate]
)
@given(
    frameworks=st.lists(
        st.sampled_from(["megatron-core", "torchtitan", "llm-foundry"]), min_size=1, max_size=2, unique=True
    ),
    clusters=st.lists(
        st.sampled_from(["h100-sxm5-80gb:2", "a100-sxm4-80gb:4", "rtx-4090:2"]), min_size=1, max_size=2, unique=True
    ),
    pins=st.fixed_dictionaries(
        {"recompute": st.sampled_from([("none", "full"), "full"]), "micro_batch": st.sampled_from([1, (1, 2)])},
        optional={
            "dp": st.sampled_from([1, 2]),
            "sequence_parallel": st.just(0),
            "zero": st.sampled_from([0, (0, 1, 3)]),
        },
    ),
    banned=st.sampled_from([(), ("pipeline",), ("tensor", "pipeline"), ("cp",)]),
    objective=st.sampled_from(["min-gpus", "time", "cost", "energy"]),
    deadline_factor=st.sampled_from([None, 0.9, 1.05, 2.0]),
    budget_factor=st.sampled_from([None, 1.1]),
)
def test_brute_force_gives_the_same_answer(
    frameworks, clusters, pins, banned, objective, deadline_factor, budget_factor
) -> None:
    if "rtx-4090:2" in clusters and (objective == "cost" or budget_factor is not None):
        clusters = ["h100-sxm5-80gb:2"]  # without a price neither can be asked
    recipes = [
        replace(RECIPE, framework=framework, cluster=cluster) for framework in frameworks for cluster in clusters
    ]
    pins = {**FINER, **pins}
    bans = {axis: 1 for name in banned for axis in {"pipeline": ("pp", "vpp"), "tensor": ("tp",), "cp": ("cp",)}[name]}
    if "tensor" in banned:
        pins.pop("sequence_parallel", None)
        bans |= {"sequence_parallel": 0, "loss_parallel": 1}
    plans = {(each.framework, each.cluster): list(every_plan(each, pins, bans, most=4)) for each in recipes}
    every = [plan for found in plans.values() for plan in found]
    fastest = min((plan.due_s for plan in every), default=1e9)
    deadline_s = None if deadline_factor is None else deadline_factor * fastest
    cheapest = min((plan.due_usd for plan in every if plan.due_usd is not None), default=1.0)
    budget_usd = None if budget_factor is None else budget_factor * cheapest

    def meets(plan) -> bool:
        return (deadline_s is None or plan.due_s <= deadline_s) and (budget_usd is None or plan.due_usd <= budget_usd)

    wanted = Search(
        objective=objective, pins=pins, without=banned, deadline_s=deadline_s, budget_usd=budget_usd, max_gpus=4
    )
    answer = plan_among(recipes, wanted)
    best = {
        where: min((plan for plan in found if meets(plan)), key=lambda plan: rank(plan, objective), default=None)
        for where, found in plans.items()
    }
    assert answer.answered == any(plan is not None for plan in best.values())
    if len(recipes) == 1:
        assert answer.search.feasible == sum(map(meets, every))
        assert answer.recommended is None or matches(answer.recommended, next(iter(best.values())), objective)
        return
    assert {(entry.framework, entry.cluster) for entry in answer.compared} == set(plans)
    for entry in answer.compared:
        expected = best[entry.framework, entry.cluster]
        assert (entry.recommended is None) == (expected is None)
        assert expected is None or matches(entry.recommended, expected, objective)
    across = "cost" if objective == "min-gpus" else objective
    found = [plan for plan in best.values() if plan is not None]
    assert not found or rank(answer.recommended, across) == pytest.approx(
        min(rank(plan, across) for plan in found), rel=1e-9
    )


def matches(plan, expected, objective: str) -> bool:
    return rank(plan, objective) == pytest.approx(rank(expected, objective), rel=1e-9)
