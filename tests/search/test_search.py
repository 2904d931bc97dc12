"""The search against one layout at a time, and the invariants of the sum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from planner.choosing import best_of
from planner.domain.hardware import Price
from planner.domain.plan import MEMORY_COMPONENTS
from planner.domain.running import Power
from planner.question import merged_divides, rules_of
from planner.registry import load_registry
from planner.search.evaluation import evaluate_mesh
from planner.search.objectives import DOES_NOT_FIT, Limits, search
from planner.search.plans import plans_of
from planner.search.refusing import refused
from planner.search.space import all_choices, all_degrees, build_space
from planner.synthetic import synthetic_context

REGISTRY = load_registry(disable="*")
RULES = rules_of(REGISTRY)
LIMITS = Limits(headroom=0.05)


def question(framework: str = "megatron-core", seq_len: int = 4096, global_batch: int = 16):
    context = synthetic_context()
    profile = REGISTRY.framework(framework)
    precision = REGISTRY.precision("bf16-mixed")
    return replace(
        context,
        job=replace(context.job, seq_len=seq_len, global_batch=global_batch),
        framework=profile,
        precision=precision,
        storage=profile.storage(precision),
        optimizer=REGISTRY.optimizer("adamw"),
        divides=merged_divides(RULES),
    )


def space_of(context, pins=None, most: int = 16):
    choices = all_choices(RULES.strategies, tuple(RULES.schedules), tuple(RULES.recomputes))
    return build_space(context, all_degrees(RULES.strategies), choices, pins or {}, 1, most)


def flat(layouts):
    return layouts.at(np.arange(int(np.prod(layouts.shape))))


@pytest.mark.parametrize("framework", sorted(REGISTRY.frameworks))
def test_a_layout_alone_equals_the_layout_in_the_mesh_bit_for_bit(framework: str) -> None:
    context = question(framework)
    (mesh,) = space_of(context, most=8).chunks()
    whole = evaluate_mesh(context, mesh, RULES)
    peaks = np.broadcast_to(whole.peak_bytes, mesh.shape).reshape(-1)
    steps = np.broadcast_to(whole.step.total_s, mesh.shape).reshape(-1)
    for index in np.random.default_rng(0).choice(peaks.size, 60, replace=False):
        alone = evaluate_mesh(context, mesh.at(np.asarray([index])), RULES)
        assert float(np.ravel(alone.peak_bytes)[0]) == peaks[index]
        assert float(np.ravel(alone.step.total_s)[0]) == steps[index]


def best_by(context, found, objective):
    """The candidate that an answer recommends."""
    best = [candidates[0] for _, candidates in sorted(found.by_gpus.items())]
    position = best_of([plan for each in best for plan in plans_of(context, each.layouts, RULES, 0.05)], objective)
    return None if position is None else best[position]


SCORES = {
    "min-gpus": lambda plan: (plan.n_gpus, plan.step_time_s),
    "time": lambda plan: (plan.step_time_s, plan.n_gpus),
    "cost": lambda plan: (plan.cost_usd, plan.n_gpus),
    "energy": lambda plan: (plan.energy_kwh, plan.n_gpus),
}
PRICE = Price(usd_per_accelerator_hour=2.0, kind="on-demand", provider="a test", date="2026-01-01", source="a test")
# Waiting draws so little that the least energy is not the fewest GPU-hours.
POWER = Power(computing_w=700.0, streaming_w=400.0, waiting_w=50.0, idle_w=40.0, host_w=10.0, pue=1.2)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.explicit, Phase.generate]
)
@given(
    framework=st.sampled_from(["megatron-core", "torchtitan", "deepspeed"]),
    seq_len=st.sampled_from([1024, 4096, 16384]),
    global_batch=st.sampled_from([2, 3, 4]),
    deadline_factor=st.sampled_from([None, 1.1, 2.0]),
    budget_factor=st.sampled_from([None, 1.2]),
)
def test_brute_force_finds_the_same_optimum(
    framework: str, seq_len: int, global_batch: int, deadline_factor: float | None, budget_factor: float | None
) -> None:
    """One layout at a time, as `evaluate` does it, through the same questions, for every objective."""
    context = question(framework, seq_len, global_batch)
    priced = replace(context.cluster, price=PRICE)
    context = replace(context, cluster=priced, operating=replace(context.operating, power=POWER))
    space = space_of(context, {"micro_batch": 1, "etp": 1}, most=4)
    plans = []
    for mesh in space.chunks():
        for index in range(int(np.prod(mesh.shape))):
            one = mesh.at(np.asarray([index]))
            if not refused(context, one, RULES).any():
                plans.extend(plan for plan in plans_of(context, one, RULES, 0.05) if plan.memory.fits)
    fastest = min((plan.due_s for plan in plans), default=None)
    deadline_s = None if deadline_factor is None or fastest is None else deadline_factor * fastest
    cheapest = min((plan.due_usd for plan in plans), default=None)
    budget_usd = None if budget_factor is None or cheapest is None else budget_factor * cheapest
    meeting = [
        plan
        for plan in plans
        if (deadline_s is None or plan.due_s <= deadline_s) and (budget_usd is None or plan.due_usd <= budget_usd)
    ]
    limits = replace(LIMITS, deadline_s=deadline_s, budget_usd=budget_usd)
    for objective, score in SCORES.items():
        found = search(context, space, RULES, limits, keep=3, objective=objective)
        assert found.feasible == len(meeting)
        best = best_by(context, found, objective)
        assert (best is None) == (not meeting)
        if best is not None:
            (chosen,) = plans_of(context, best.layouts, RULES, 0.05)
            assert score(chosen) == pytest.approx(min(map(score, meeting)), rel=1e-12)
        for count, candidates in search(context, space, RULES, limits, keep=3).by_gpus.items():
            same = sorted(plan.step_time_s for plan in meeting if plan.n_gpus == count)
            assert [candidate.score for candidate in candidates] == same[:3]


def test_every_layout_is_feasible_or_rejected_once() -> None:
    context = question()
    found = search(context, space_of(context, most=64), RULES, LIMITS, keep=2)
    assert found.layouts == found.feasible + sum(found.rejected.values())
    assert found.layouts == space_of(context, most=64).layouts


def test_the_same_question_has_the_same_answer() -> None:
    context = question()
    answers = [best_by(context, search(context, space_of(context), RULES, LIMITS, keep=2), "time") for _ in range(2)]
    assert answers[0] is not None
    assert answers[1] is not None
    assert answers[0].layouts.labels() == answers[1].layouts.labels()


def test_plans_sum_to_their_totals() -> None:
    context = question()
    (mesh,) = space_of(context, most=8).chunks()
    for plan in plans_of(context, flat(mesh).at(np.arange(0, 400, 7)), RULES, 0.05):
        memory = plan.memory
        assert sum(memory.components[name] for name in MEMORY_COMPONENTS) == pytest.approx(
            memory.total_bytes, rel=1e-12
        )
        assert sum(plan.step_time_components_s.values()) == pytest.approx(plan.step_time_s, rel=1e-12)


def states(context, **degrees: int) -> float:
    pins = dict.fromkeys(("tp", "pp", "vpp", "cp", "ep", "etp", "dp", "micro_batch"), 1) | degrees
    pins |= {"sequence_parallel": int(degrees.get("tp", 1) > 1), "recompute": "none", "schedule": "1f1b"}
    pins.setdefault("zero", 0)
    (plan,) = plans_of(context, flat(next(iter(space_of(context, pins, most=64).chunks()))), RULES, 0.0)
    return sum(plan.memory.components[name] for name in ("weights", "gradients", "optimizer"))


@pytest.mark.parametrize("axis", ["tp", "pp", "ep"])
def test_more_sharding_never_costs_more_state_memory(axis: str) -> None:
    context = question()
    sizes = [states(context, **{"dp": 8 if axis == "ep" else 1, axis: degree}) for degree in (1, 2, 4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]


@pytest.mark.parametrize("framework", ["deepspeed"])
def test_each_zero_stage_takes_less_than_the_one_before(framework: str) -> None:
    context = question(framework)
    sizes = [states(context, dp=8, zero=stage) for stage in (0, 1, 2, 3)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_megatron_s_distributed_optimizer_keeps_six_bytes_and_shares_twelve() -> None:
    """NVIDIA/Megatron-LM, docs/user-guide/features/dist_optimizer.md: 18 bytes per parameter, or 6 + 12/d."""
    context = question()
    dense = replace(context, program=replace(context.program, layers=(0,) * 4))
    params = dense.program.total_params
    assert states(dense, dp=8) == pytest.approx(18 * params, rel=1e-3)
    assert states(dense, dp=8, zero=1) == pytest.approx((6 + 12 / 8) * params, rel=1e-3)


def test_a_question_that_cannot_fit_counts_every_allowed_layout_under_memory() -> None:
    context = question(global_batch=4)
    small = replace(context.cluster.accelerator, capacity_bytes=10**9, usable_bytes=None)
    tiny = replace(context, cluster=replace(context.cluster, accelerator=small))
    found = search(tiny, space_of(tiny, most=4), RULES, LIMITS, keep=1)
    assert found.feasible == 0
    assert found.rejected[DOES_NOT_FIT] > 0
    assert found.closest is not None
