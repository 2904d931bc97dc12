"""How the answer moves: for each factor and change what would be recommended, the largest swing first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from planner.domain.plan import Plan, Shift
from planner.reports.blocks import Bar, Block, Cell, Heading, Paragraph, Table, left, right, wrapped
from planner.reports.figures import NOTHING, seconds
from planner.reports.layout import layout_text
from planner.reports.plan_table import flat_row
from planner.units import format_duration, format_usd

COLUMNS: Final = ("factor", "change", "min_gpus", "layout_changes")


def flat_shifts(shifts: Sequence[Shift]) -> Iterator[Mapping[str, Any]]:
    """One row of CSV for each change: the plan that would be recommended."""
    for shift in shifts:
        row = {} if shift.plan is None else flat_row("sensitivity", shift.plan)
        own = {name: getattr(shift, name) for name in COLUMNS}
        yield {**row, "role": "sensitivity", **own}


def sensitivity_blocks(shifts: Sequence[Shift], plan: Plan) -> Iterator[Block]:
    """A table with the factors that move the answer most on top; nothing where it was not asked."""
    if not shifts:
        return
    swings = [_swing(shift, plan) for shift in shifts]
    widest = max(swings) or 1.0
    order = _by_swing(shifts, swings)
    yield Heading("How the answer moves (what would be recommended, one factor changed at a time)")
    yield Table(
        columns=(
            left("factor"), right("change"), right("step"), right("expected"), right("cost"), right("fewest"), left(""),
            wrapped("layout"),
        ),
        rows=tuple(_row(shifts[number], swings[number] / widest) for number in order),
    )  # fmt: skip
    yield Paragraph(_verdict(shifts))


def _row(shift: Shift, swing: float) -> tuple[Cell, ...]:
    plan = shift.plan
    fewest = NOTHING if shift.min_gpus is None else f"{shift.min_gpus:,}"
    change = f"{shift.change:+.0%}".replace("%", " %")
    if plan is None:
        return (shift.factor, change, NOTHING, NOTHING, NOTHING, fewest, Bar(swing), "nothing meets what was asked")
    ends = "never" if plan.due_s is None else format_duration(plan.due_s)
    cost = NOTHING if plan.due_usd is None else format_usd(plan.due_usd)
    layout = f"{plan.n_gpus:,} GPUs: {layout_text(plan.layout)}" if shift.layout_changes else "the same"
    return (shift.factor, change, seconds(plan.step_time_s), ends, cost, fewest, Bar(swing), layout)


def _swing(shift: Shift, plan: Plan) -> float:
    """By which fraction the expected cost moves, or the expected time where it moves more."""
    if shift.plan is None:
        return 1.0
    return max(_moved(shift.plan.due_s, plan.due_s), _moved(shift.plan.due_usd, plan.due_usd))


def _moved(value: float | None, base: float | None) -> float:
    return abs(value / base - 1.0) if value is not None and base else 0.0


def _by_swing(shifts: Sequence[Shift], swings: Sequence[float]) -> list[int]:
    """The numbers of the shifts, factors by their widest swing, changes of a factor in their order."""
    widest: dict[str, float] = {}
    for shift, swing in zip(shifts, swings, strict=True):
        widest[shift.factor] = max(widest.get(shift.factor, 0.0), swing)
    return sorted(range(len(shifts)), key=lambda number: (-widest[shifts[number].factor], number))


def _verdict(shifts: Sequence[Shift]) -> str:
    changed = [f"{shift.factor} {shift.change:+.0%}".replace("%", " %") for shift in shifts if shift.layout_changes]
    if not changed:
        return "The recommended layout stays the same under all of them."
    kept = [
        _moved(shift.kept.step_time_s, shift.plan.step_time_s)
        for shift in shifts
        if shift.layout_changes and shift.plan
    ]
    loss = f" Keeping the present one there costs at most {max(kept):.1%} of a step.".replace("%", " %") if kept else ""
    return f"Another layout would be recommended at {', '.join(changed)}.{loss}"
