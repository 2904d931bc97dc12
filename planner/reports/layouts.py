"""Published layouts beside the best that the search finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from planner.domain.plan import Plan
from planner.domain.ranked import SCHEMA, Ranked
from planner.reports.blocks import Block, Facts, Flat, Heading, Paragraph, Report, Table, left, right
from planner.reports.figures import NOTHING, percent

AXES: Final = ("tp", "pp", "vpp", "cp", "dp", "zero", "micro_batch", "recompute")
COLUMNS: Final = (
    "id", "model", "accelerator", "n_gpus", "layouts", "fitting", "better", "better_alike",
    *(f"{which}_{name}" for which in ("published", "alike", "best") for name in (*AXES, "step_time_s")), "error",
)  # fmt: skip


def report(ranked: Sequence[Ranked]) -> Report:
    """One row for each published layout."""
    document = {"schema": SCHEMA, "items": [each.to_dict() for each in ranked]}
    return Report(
        document=document, blocks=tuple(_blocks(ranked)), flat=Flat(columns=COLUMNS, rows=tuple(map(_flat, ranked)))
    )


def _blocks(ranked: Sequence[Ranked]) -> Iterator[Block]:
    yield Paragraph(
        "Each published layout, the fastest one found with its means (recomputation, sequence and context parallelism, "
        "ZeRO, vpp), and the fastest of all, by predicted step time on the same GPUs. better: the share of layouts that fit "
        "which are faster than the published one."
    )
    answered = [each for each in ranked if each.published is not None]
    yield Table(
        columns=(
            left("model"), right("GPUs"), left("published"), right("s"), right("better"),
            left("its means"), right("s"), right("better"), left("fastest"), right("s"),
        ),
        rows=tuple(_row(each) for each in answered),
    )  # fmt: skip
    yield Heading("Layouts are tp.pp.dp, v(pp), c(p), /micro-batch, and what is recomputed: s(elective), f(ull)")
    yield Facts(
        (
            ("at least as fast", f"{sum(map(_is_at_least_as_fast, answered))} of {len(answered)}"),
            (
                "do not fit",
                ", ".join(each.id for each in answered if not _fits(each.published)) or "none of the published",
            ),
        )
    )
    failed = tuple((each.id or each.model, each.error) for each in ranked if each.error)
    if failed:
        yield Facts(failed)


def _is_at_least_as_fast(each: Ranked) -> bool:
    return each.best is not None and each.published is not None and each.best.step_time_s <= each.published.step_time_s


def _fits(plan: Plan | None) -> bool:
    return plan is not None and plan.memory.fits


def _row(each: Ranked) -> tuple[str, ...]:
    return (
        each.model, f"{each.n_gpus:,}", _layout(each.published), _step(each.published), _share(each.better),
        _layout(each.alike), _step(each.alike), _share(each.better_alike), _layout(each.best), _step(each.best),
    )  # fmt: skip


def _layout(plan: Plan | None) -> str:
    if plan is None:
        return NOTHING
    layout = plan.layout
    degrees = ".".join(str(layout[axis]) for axis in ("tp", "pp", "dp"))
    degrees += "".join(f"{letter}{layout[axis]}" for letter, axis in (("v", "vpp"), ("c", "cp")) if layout[axis] > 1)
    again = str(layout["recompute"])
    return f"{degrees}/{layout['micro_batch']}" + ("" if again == "none" else f" {again[0]}")


def _step(plan: Plan | None) -> str:
    return NOTHING if plan is None else f"{plan.step_time_s:.1f}"


def _share(fraction: float | None) -> str:
    return NOTHING if fraction is None else percent(fraction)


def _flat(each: Ranked) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": each.id, "model": each.model, "accelerator": each.accelerator, "n_gpus": each.n_gpus,
        "layouts": each.layouts, "fitting": each.fitting, "better": each.better, "better_alike": each.better_alike,
        "error": each.error,
    }  # fmt: skip
    for which, plan in (("published", each.published), ("alike", each.alike), ("best", each.best)):
        if plan is not None:
            row |= {f"{which}_{axis}": plan.layout[axis] for axis in AXES} | {f"{which}_step_time_s": plan.step_time_s}
    return row
