"""Contexts and meshes of first-party plugins for tests of the sum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from planner.question import merged_divides, rules_of
from planner.registry import load_registry
from planner.search.evaluation import evaluate_mesh
from planner.search.space import all_choices, derive, make_layouts
from planner.synthetic import synthetic_context

REGISTRY = load_registry(disable="*")
RULES = rules_of(REGISTRY)
CHOICES = all_choices(RULES.strategies, tuple(RULES.schedules), tuple(RULES.recomputes), tuple(RULES.offloads))


def context(framework="megatron-core", precision="bf16-mixed", **job):
    """The synthetic model under a real framework, precision and AdamW."""
    plain, profile, numbers = synthetic_context(), REGISTRY.framework(framework), REGISTRY.precision(precision)
    return replace(
        plain, job=replace(plain.job, **job), framework=profile, precision=numbers, storage=profile.storage(numbers),
        optimizer=REGISTRY.optimizer("adamw"), divides=merged_divides(RULES),
    )  # fmt: skip


def mesh(of, **given):
    """One layout: what is given, else 1 and the first value of each choice; a tuple gives a choice several values."""
    names = {each.name for strategy in RULES.strategies for each in strategy.degrees}
    degrees = {name: np.ones(1) * float(given.get(name, 1)) for name in names}
    wanted = {"schedule": "1f1b", "recompute": "none", "offload": "none"} | given
    chosen = {choice.name: wanted.get(choice.name, choice.values[0]) for choice in CHOICES}
    several = {name: value if isinstance(value, tuple) else (value,) for name, value in chosen.items()}
    return make_layouts(derive(of, degrees), several)


def evaluated(of, **given):
    """The evaluation of that layout."""
    return evaluate_mesh(of, mesh(of, **given), RULES)


def number(array):
    """The only number of an array of one."""
    return float(np.asarray(array).reshape(-1)[0])
