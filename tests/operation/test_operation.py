"""What a user and the catalog say of operating a run, and what becomes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from planner import Search
from planner.domain.plan import TIME_COMPONENTS
from planner.domain.running import Power
from planner.errors import InputError, UnknownNameError
from planner.operating import MEASURED
from planner.search.running import COMPUTING, STREAMING, WAITING, accelerator_w


def value(answer, name: str):
    return {entry.name: entry.value for entry in answer.assumptions}.get(name)


def test_ideal_and_expected_stand_side_by_side(small) -> None:
    plan = small().recommended
    run = plan.expected
    assert run.duration_s == pytest.approx(plan.duration_s / run.goodput)
    assert run.cost_usd == pytest.approx(plan.cost_usd / run.goodput)
    assert plan.energy_kwh < run.energy_kwh < plan.energy_kwh / run.goodput
    assert run.goodput_range[0] <= run.goodput <= run.goodput_range[1]
    assert run.interruptions == pytest.approx(run.duration_s / run.mean_time_to_interrupt_s)


def test_energy_is_accelerators_hosts_and_building(small) -> None:
    used = small(pue=1.25).recommended.energy
    assert used.facility_kwh == pytest.approx(1.25 * (used.accelerators_kwh + used.hosts_kwh))
    assert 0.5 * 400 <= used.accelerator_w <= 0.87 * 400


def test_carbon_is_that_of_the_region(small) -> None:
    """France 56.039 g per kWh (Our World in Data), the world 475."""
    france, world = small(region="France").recommended.energy, small().recommended.energy
    assert france.carbon_kg == pytest.approx(france.facility_kwh * 0.056039)
    assert world.carbon_kg == pytest.approx(world.facility_kwh * 0.475)


def test_a_cloud_s_region_needs_no_name_of_the_cloud(planned) -> None:
    """The pool is of AWS's g6e.48xlarge: us-east-1 is AWS's, 415.8 g per kWh."""
    answer = planned(Search(max_gpus=1), model="gpt2", cluster="l40s-pool", region="us-east-1")
    assert value(answer, "carbon").startswith("416 g")
    assert value(answer, "PUE") == 1.15


def test_a_region_that_nobody_knows_is_named(small) -> None:
    with pytest.raises(UnknownNameError, match="unknown region 'mars'"):
        small(region="mars")


def test_a_price_of_one_s_own_counts_for_all_plans(small) -> None:
    plan = small(price_usd=2.0).recommended
    assert plan.cost_usd == pytest.approx(plan.n_gpus * plan.duration_s / 3600 * 2.0)


def test_paid_hours_that_do_not_train_cost_as_much(small) -> None:
    whole, part = small(price_usd=2.0).recommended, small(price_usd=2.0, utilisation=0.8).recommended
    assert part.cost_usd == pytest.approx(whole.cost_usd / 0.8)
    assert part.duration_s == whole.duration_s


def test_spot_prices_count_where_they_are_asked_for(small) -> None:
    asked = small(price_kind="spot")
    assert asked.provenance["price"]["kind"] == "spot"
    assert asked.recommended.cost_usd < small().recommended.cost_usd


def test_the_price_is_said_with_its_date_and_the_range_of_providers(small) -> None:
    answer = small()
    price = answer.provenance["price"]
    assert price["range"]["low_usd"] <= price["usd_per_gpu_hour"] <= price["range"]["high_usd"]
    assert price["date"] in value(answer, "price")
    assert f"${price['range']['high_usd']:,.2f}" in value(answer, "price")


def test_failures_of_one_s_own_have_no_range(small) -> None:
    run = small(failures_per_gpu_day=1e-3).recommended.expected
    assert run.goodput_range == (run.goodput, run.goodput)
    assert run.mean_time_to_interrupt_s == pytest.approx(86400 / (1e-3 * small().recommended.n_gpus))


def test_without_failures_only_checkpoints_are_left(small) -> None:
    run = small(
        failures_per_gpu_day=0.0, checkpoint_interval_s=3600.0, checkpoint_bytes_per_s=1e12
    ).recommended.expected
    assert run.goodput == pytest.approx(3600.0 / (3600.0 + run.checkpoint_bytes / 1e12))


def test_an_asynchronous_checkpoint_stops_the_job_for_less(small) -> None:
    blocking, asynchronous = (small(checkpoint=mode).recommended.expected for mode in ("blocking", "async"))
    assert asynchronous.checkpoint_stall_s < blocking.checkpoint_stall_s
    assert asynchronous.goodput > blocking.goodput
    assert asynchronous.interval_s >= asynchronous.checkpoint_write_s


def test_the_default_interval_is_the_best_of_all(small) -> None:
    best = small().recommended.expected
    for times in (0.25, 0.5, 2.0, 4.0):
        assert small(checkpoint_interval_s=times * best.interval_s).recommended.expected.goodput <= best.goodput


def test_a_job_that_cannot_restart_never_ends(small) -> None:
    answer = small(failures_per_gpu_day=24.0, restart_s=7 * 86400.0)
    assert answer.recommended.expected.duration_s is None
    assert answer.to_dict()["answer"]["recommended"]["expected"]["cost_usd"] is None


def test_what_was_given_is_no_assumption(small) -> None:
    given = {"pue": 1.1, "failures_per_gpu_day": 1e-3, "restart_s": 300.0, "checkpoint": "blocking",
             "checkpoint_interval_s": 1800.0, "checkpoint_bytes_per_s": 1e11, "price_usd": 2.0}  # fmt: skip
    names = {"PUE", "failures", "restart", "checkpoint", "checkpoint interval", "storage", "price"}
    assert not names & {entry.name for entry in small(**given).assumptions}
    assert names <= {entry.name for entry in small().assumptions}


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ({"utilisation": 0.0}, "utilisation"), ({"utilisation": 1.5}, "utilisation"), ({"pue": 0.9}, "PUE"),
        ({"price_usd": 0.0}, "price"), ({"restart_s": -1.0}, "restart"), ({"checkpoint": "now"}, "checkpoint"),
        ({"failures_per_gpu_day": math.nan}, "failures"), ({"checkpoint_interval_s": math.inf}, "interval"),
        ({"price_usd": 1.0, "price_kind": "spot"}, "exclude"), ({"price_kind": "barter"}, "no barter price"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(small, operation, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        small(**operation)


@pytest.mark.parametrize("number", MEASURED, ids=lambda number: number.source)
def test_every_measured_number_names_its_paper_and_year(number) -> None:
    assert "arXiv:" in number.source
    assert "20" in number.source.split("(")[1]


def test_a_deadline_is_held_against_the_expected_run(small) -> None:
    run = small().recommended
    between = (run.duration_s + run.expected.duration_s) / 2
    assert small(deadline_s=run.expected.duration_s * 1.0001).min_gpus == run.n_gpus
    assert small(deadline_s=between).min_gpus > run.n_gpus


def test_a_budget_is_held_against_the_expected_run(small) -> None:
    cheapest = small(objective="cost").recommended
    between = (cheapest.cost_usd + cheapest.expected.cost_usd) / 2
    assert small(budget_usd=cheapest.expected.cost_usd * 1.01).answered
    assert not small(budget_usd=between).answered


def test_of_two_steps_as_long_the_one_that_waits_more_draws_less() -> None:
    """So the least energy may be that of a layout with more GPU-hours: here 5 % more of them take 12 % less energy."""
    power = Power(computing_w=600.0, streaming_w=350.0, waiting_w=350.0, idle_w=100.0, host_w=0.0, pue=1.0)
    busy = {"forward": np.asarray(4.0), "recompute": np.asarray(5.9), "optimizer": np.asarray(0.1)}
    waits = {"forward": np.asarray(6.4), "bubble": np.asarray(2.0), "tp": np.asarray(2.1)}
    busy_w = accelerator_w(power, busy, np.asarray(10.0))
    waits_w = accelerator_w(power, waits, np.asarray(10.5))
    assert busy_w.item() == pytest.approx(0.99 * 600 + 0.01 * 350)
    assert waits_w.item() * 10.5 == pytest.approx(0.883 * busy_w.item() * 10.0, rel=1e-3)


def test_every_component_of_a_step_is_counted_once() -> None:
    assert sorted((*COMPUTING, *STREAMING, *WAITING)) == sorted(TIME_COMPONENTS)


def test_the_energy_goal_recommends_what_needs_least(small) -> None:
    answer = small(objective="energy")
    least = answer.recommended.expected.energy_kwh
    assert least <= min(plan.expected.energy_kwh for plan in (*answer.scaling, *answer.alternatives)) * (1 + 1e-12)
    assert least <= small(objective="cost").recommended.expected.energy_kwh
