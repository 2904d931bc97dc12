"""How the answer moves with what it rests on."""

from __future__ import annotations

import pytest

from planner.reports.formats import render
from planner.reports.ink import Ink
from planner.reports.plan import report


@pytest.fixture(scope="module")
def shifted(database):
    from planner import Recipe, Search, plan

    return plan(
        Recipe(model="llama3-7b", cluster="a100-pool"),
        Search(min_gpus=8, max_gpus=8, sensitivity=True),
        database=database,
    )


def text(answer) -> str:
    return render(report(answer), "text", ink=Ink(enabled=False))


def of(answer, factor: str):
    return [shift for shift in answer.sensitivity if shift.factor == factor]


def test_every_factor_moves_both_ways(shifted) -> None:
    changes = {(shift.factor, shift.change) for shift in shifted.sensitivity}
    assert changes == {
        ("efficiency", -0.1), ("efficiency", 0.1), ("network", -0.25), ("network", 0.25), ("price", -0.2),
        ("price", 0.2), ("failures", -0.5), ("failures", 1.0),
    }  # fmt: skip


def test_slower_kernels_take_longer_and_faster_ones_shorter(shifted) -> None:
    slower, faster = (shift.plan.duration_s for shift in of(shifted, "efficiency"))
    assert faster < shifted.recommended.duration_s < slower
    # Arithmetic is not all of a step: a tenth less makes it at most a ninth longer.
    assert slower <= shifted.recommended.duration_s / 0.9


def test_a_price_moves_the_cost_in_proportion_and_nothing_else(shifted) -> None:
    base = shifted.recommended
    for shift in of(shifted, "price"):
        assert shift.plan.cost_usd == pytest.approx(base.cost_usd * (1 + shift.change))
        assert shift.plan.step_time_s == base.step_time_s
        assert not shift.layout_changes


def test_failures_move_the_expected_run_alone(shifted) -> None:
    fewer, more = (shift.plan for shift in of(shifted, "failures"))
    assert fewer.duration_s == more.duration_s == shifted.recommended.duration_s
    assert fewer.expected.duration_s < shifted.recommended.expected.duration_s < more.expected.duration_s


def test_what_is_recommended_then_is_no_slower_than_keeping_the_layout(shifted) -> None:
    for shift in shifted.sensitivity:
        assert shift.plan.step_time_s <= shift.kept.step_time_s


def test_a_tight_deadline_needs_more_gpus_where_kernels_are_slower(small) -> None:
    least = small().recommended
    answer = small(deadline_s=least.expected.duration_s * 1.01, sensitivity=True)
    slower, faster = of(answer, "efficiency")
    assert slower.min_gpus > answer.min_gpus >= faster.min_gpus
    assert slower.layout_changes


def test_what_nothing_meets_is_said(small) -> None:
    cheapest = small(objective="cost").recommended
    answer = small(budget_usd=cheapest.expected.cost_usd * 1.001, sensitivity=True)
    dearer = of(answer, "price")[1]
    assert dearer.plan is None
    assert dearer.min_gpus is None
    assert "nothing" in text(answer)


def test_every_format_has_it(shifted) -> None:
    document = report(shifted)
    assert [entry["factor"] for entry in document.document["sensitivity"]] == [
        each.factor for each in shifted.sensitivity
    ]
    rows = [row for row in document.flat.rows if row["role"] == "sensitivity"]
    assert [(row["factor"], row["change"]) for row in rows] == [
        (each.factor, each.change) for each in shifted.sensitivity
    ]
    assert {"factor", "change", "min_gpus", "layout_changes"} <= set(document.flat.columns)
    assert "How the answer moves" in text(shifted)


def test_it_is_empty_where_it_was_not_asked(small) -> None:
    answer = small()
    assert answer.to_dict()["sensitivity"] == []
    assert not any(row["role"] == "sensitivity" for row in report(answer).flat.rows)
