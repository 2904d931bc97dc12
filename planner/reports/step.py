"""Where a step's time goes."""

from __future__ import annotations

from typing import Final

from planner.domain.plan import Plan
from planner.reports.blocks import Bar, Block, Cell, Heading, Table, left, right
from planner.reports.figures import percent, seconds, share

LABELS: Final = {
    "forward": "forward compute",
    "backward": "backward compute",
    "recompute": "recomputed forward",
    "tp": "tensor-parallel traffic",
    "cp": "context-parallel traffic",
    "ep": "expert-parallel traffic",
    "pp": "pipeline hops",
    "dp": "data-parallel traffic",
    "bubble": "pipeline bubble",
    "optimizer": "optimizer step",
    "other": "other",
}
_WORTH_NAMING: Final = 0.001
"""The fraction of a step below which an overhead is not worth a word."""


def step_blocks(plan: Plan) -> tuple[Block, ...]:
    """A bar for each component that takes time; communication counts as far as compute does not hide it."""
    rows = [
        _row(LABELS.get(name, name), time_s, plan.step_time_s)
        for name, time_s in plan.step_time_components_s.items()
        if time_s
    ]
    total: tuple[Cell, ...] = ("one step", seconds(plan.step_time_s), percent(1.0), "")
    return (
        Heading("Time of one step (exposed communication only)"),
        Table(
            columns=(left("component"), right("time"), right("of step"), left("")),
            rows=(*rows, total),
            strong=frozenset({len(rows)}),
        ),
    )


def speed_text(plan: Plan) -> str:
    """Step time with its range, throughput and utilisation in one line."""
    between = ""
    if plan.step_time_range_s is not None:
        shortest, longest = plan.step_time_range_s
        between = f" ({seconds(shortest)} to {seconds(longest)})"
    return (
        f"{seconds(plan.step_time_s)} a step{between}, {plan.tokens_per_s:,.0f} tokens/s "
        f"({plan.tokens_per_s_per_gpu:,.0f} per GPU), MFU {percent(plan.mfu)}, HFU {percent(plan.hfu)}"
    )


def slowest_overheads(plan: Plan, limit: int = 2) -> str:
    """What takes most time beside the useful compute."""
    overheads = {
        name: time_s
        for name, time_s in plan.step_time_components_s.items()
        if name not in ("forward", "backward") and share(time_s, plan.step_time_s) >= _WORTH_NAMING
    }
    largest = sorted(overheads, key=lambda name: -overheads[name])[:limit]
    shares = {name: percent(share(overheads[name], plan.step_time_s)) for name in largest}
    return ", ".join(f"{LABELS.get(name, name)} {fraction}" for name, fraction in shares.items())


def _row(label: str, time_s: float, whole: float) -> tuple[Cell, ...]:
    fraction = share(time_s, whole)
    return (label, seconds(time_s), percent(fraction), Bar(fraction))
