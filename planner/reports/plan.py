"""The answer of `planner plan`: the first screen says how many GPUs, why, laid out how, how long, how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from planner.domain.plan import NearestMiss, Plan, PlanAnswer
from planner.reports.blocks import Block, Facts, Flat, Heading, Paragraph, Report, Tone
from planner.reports.comparison import PRICED, compared_blocks, flat_comparison, why_not_blocks
from planner.reports.figures import NOTHING, gpus, share
from planner.reports.footnotes import footnote_blocks
from planner.reports.layout import layout_text
from planner.reports.memory import largest_component, memory_blocks, memory_text
from planner.reports.operation import cost_text, expected_text, operation_blocks
from planner.reports.plan_table import COLUMNS, flat_row, scaling_table, side_by_side
from planner.reports.regions import searched_table
from planner.reports.rules import rules_table
from planner.reports.sensitivity import COLUMNS as SENSITIVITY_COLUMNS
from planner.reports.sensitivity import flat_shifts, sensitivity_blocks
from planner.reports.step import slowest_overheads, speed_text, step_blocks
from planner.units import format_duration, format_missing_bytes, format_usd


def report(answer: PlanAnswer) -> Report:
    """A plan's answer for every format; CSV has one row per plan, its `role` telling which."""
    return Report(document=answer.to_dict(), blocks=tuple(_blocks(answer)), flat=_flat(answer))


def _flat(answer: PlanAnswer) -> Flat:
    rows = [] if answer.recommended is None else [flat_row("recommended", answer.recommended)]
    rows += [flat_row("alternative", plan) for plan in answer.alternatives]
    rows += [flat_row("scaling", plan) for plan in answer.scaling]
    if answer.why_not is not None and answer.why_not.best is not None:
        rows.append(flat_row("why-not", answer.why_not.best))
    rows += [flat_comparison(entry) for entry in answer.compared]
    if answer.nearest_miss is not None:
        miss = answer.nearest_miss.to_dict()
        rows.append({"role": "nearest-miss", **miss.pop("layout"), **miss})
    columns = (*COLUMNS, "missing_bytes", "fix", *(PRICED if answer.compared else ()))
    if answer.sensitivity:
        rows += flat_shifts(answer.sensitivity)
        columns = (*columns, *SENSITIVITY_COLUMNS)
    return Flat(columns=columns, rows=tuple(rows))


def _blocks(answer: PlanAnswer) -> Iterator[Block]:
    plan = answer.recommended
    if plan is None:
        yield Paragraph(_refusal(answer), Tone.BAD)
        yield Facts(tuple(_miss_facts(answer)))
    else:
        yield Paragraph(_headline(answer, plan), Tone.GOOD)
        yield Facts(tuple(_first_screen(answer, plan)))
        yield from memory_blocks(plan.memory)
        yield from step_blocks(plan)
        yield from operation_blocks(plan)
        yield from sensitivity_blocks(answer.sensitivity, plan)
    yield from compared_blocks(answer)
    yield from why_not_blocks(answer.why_not)
    yield from _more(answer)
    yield from footnote_blocks(answer.assumptions, answer.notes, answer.provenance)


def subject(answer: PlanAnswer) -> str:
    """What was asked about: the model and the cluster."""
    return f"{answer.question.get('model', 'the model')} on {answer.question.get('cluster', 'the cluster')}"


def _headline(answer: PlanAnswer, plan: Plan) -> str:
    accelerator = answer.provenance.get("accelerator")
    kind = f" ({accelerator['slug']})" if isinstance(accelerator, Mapping) and "slug" in accelerator else ""
    if answer.min_gpus is None or answer.min_gpus == plan.n_gpus:
        return f"{subject(answer)} needs {gpus(plan.n_gpus)}{kind}"
    return f"{subject(answer)} needs at least {gpus(answer.min_gpus)}{kind}; {gpus(plan.n_gpus)} recommended"


def _refusal(answer: PlanAnswer) -> str:
    miss = answer.nearest_miss
    if miss is not None and not miss.missing_bytes:
        return (
            f"{subject(answer)} has no layout as asked for"
            if miss.moved
            else f"{subject(answer)} cannot meet what was asked"
        )
    return f"{subject(answer)} does not fit"


def _first_screen(answer: PlanAnswer, plan: Plan) -> Iterator[tuple[str, str]]:
    if answer.why:
        yield "why", answer.why
    yield "layout", layout_text(plan.layout)
    yield "how long", f"{format_duration(plan.duration_s)} ({speed_text(plan)})"
    yield "how much", cost_text(plan)
    if expected_text(plan):
        yield "expected", expected_text(plan)
    yield "memory", f"{memory_text(plan.memory)}, mostly {largest_component(plan.memory)}"
    overheads = slowest_overheads(plan)
    if overheads:
        yield "slowed by", overheads


def _missed(miss: NearestMiss) -> str:
    where = "" if miss.stage is None else f" on stage {miss.stage}"
    parts = [
        "" if not miss.missing_bytes else f"{format_missing_bytes(miss.missing_bytes)}{where}",
        "" if miss.late_s is None else format_duration(miss.late_s),
        "" if miss.over_usd is None else format_usd(miss.over_usd),
    ]
    return " and ".join(part for part in parts if part)


def _miss_facts(answer: PlanAnswer) -> Iterator[tuple[str, str]]:
    miss = answer.nearest_miss
    if miss is None:
        yield "nearest miss", answer.why or "none: every layout is refused for another reason than memory (below)"
        return
    if answer.why:
        yield "why", answer.why
    yield "nearest miss", f"{gpus(miss.n_gpus)}, {layout_text(miss.layout)}"
    if _missed(miss):
        yield "misses by", _missed(miss)
    yield "what helps", miss.fix or NOTHING


def _more(answer: PlanAnswer) -> Iterator[Block]:
    plan = answer.recommended
    strong = () if plan is None else (plan,)
    if answer.alternatives:
        yield Heading("Alternatives to the recommended layout (first)")
        yield side_by_side((*strong, *answer.alternatives), strong)
    if answer.scaling:
        yield Heading("What more GPUs buy")
        yield scaling_table(answer.scaling, strong, answer.knee, answer.front)
        yield Facts(tuple(_growth(answer)))
    search = answer.search
    besides = f", and {search.finer_layouts:,} with finer values," if search.finer_layouts else ""
    yield Heading(f"Searched {search.layouts:,} layouts{besides} in {format_duration(search.elapsed_s)}")
    yield searched_table(answer)
    if answer.rule_of_thumb:
        yield Heading("Rule of thumb, to compare")
        yield rules_table(answer.rule_of_thumb)


def _growth(answer: PlanAnswer) -> Iterator[tuple[str, str]]:
    """Where more GPUs begin to buy less, and which numbers of them nothing beats."""
    last = answer.scaling[-1]
    if answer.knee is None:
        yield "knee", f"none: throughput grows about in step with the GPUs, up to {gpus(last.n_gpus)}"
    else:
        here = next(plan for plan in answer.scaling if plan.n_gpus == answer.knee)
        gained = share(last.tokens_per_s, here.tokens_per_s)
        more = share(last.n_gpus, here.n_gpus)
        yield (
            "knee",
            (f"{gpus(answer.knee)}: {more:.1f} times as many ({last.n_gpus:,}) give {gained:.1f} times its tokens/s"),
        )
    dominated = len(answer.scaling) - len(answer.front)
    if dominated:
        yield (
            "front",
            (
                f"{len(answer.front)} of {len(answer.scaling)} numbers of GPUs are not beaten in time, cost and GPUs at once "
                f"(--format json lists them)"
            ),
        )
