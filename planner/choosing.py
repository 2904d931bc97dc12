"""Which of the layouts that meet what was asked is the best by the goal, with failures and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from planner.domain.plan import Plan


def rank(plan: Plan, objective: str) -> tuple[float, ...]:
    """What plans are sorted by, least first: the run as it can be expected, then the ideal one, then fewer GPUs.

    A run that never ends comes last, one without a known price or power after those that have one.
    """
    expected = plan.expected
    energy = plan.energy_kwh if expected is None else expected.energy_kwh
    by = {
        "time": (plan.due_s, plan.duration_s),
        "cost": (plan.due_usd, plan.cost_usd, plan.due_s),
        "energy": (energy, plan.energy_kwh, plan.n_gpus * plan.duration_s),
    }
    figures = by.get(objective, (float(plan.n_gpus), plan.step_time_s))
    return (*(inf if figure is None else figure for figure in figures), float(plan.n_gpus))


def best_of(plans: Sequence[Plan], objective: str) -> int | None:
    """The position of the best plan, the first of equals; None where there is none."""
    return min(range(len(plans)), key=lambda position: rank(plans[position], objective), default=None)
