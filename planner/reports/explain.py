"""The answer of `planner explain`: each term with its value, formula, plugin and source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import fsum
from typing import Final

from planner.domain.plan import MEMORY_COMPONENTS, TIME_COMPONENTS, EvaluateAnswer, Term
from planner.reports.blocks import Block, Flat, Heading, Report, Table, left, right, wrapped
from planner.reports.evaluate import verdict_blocks
from planner.reports.figures import NOTHING, quantity
from planner.reports.footnotes import footnote_blocks
from planner.reports.memory import INSTANTS, LABELS
from planner.reports.sources import mark, numbered, source_blocks
from planner.reports.step import step_blocks
from planner.units import format_bytes

COLUMNS: Final = ("quantity", "component", "name", "value", "unit", "stage", "instant", "formula", "plugin", "source")
ORDER: Final = (*MEMORY_COMPONENTS[:-1], *TIME_COMPONENTS)
"""Components in the order in which they are explained; `other` last."""


def report(answer: EvaluateAnswer) -> Report:
    """Every term for every format; CSV has one row per term."""
    rows = (
        *({"quantity": "memory", **term.to_dict()} for term in answer.plan.memory_terms),
        *({"quantity": "time", **term.to_dict()} for term in answer.plan.time_terms),
    )
    return Report(document=answer.explain_dict(), blocks=tuple(_blocks(answer)), flat=Flat(columns=COLUMNS, rows=rows))


def _blocks(answer: EvaluateAnswer) -> Iterator[Block]:
    plan = answer.plan
    memory = tuple(term for term in plan.memory_terms if term.value and not _is_total(term))
    time = tuple(term for term in plan.time_terms if term.value and not _is_total(term))
    cited = numbered(term.source for term in (*memory, *time))
    when = INSTANTS.get(plan.memory.when, plan.memory.when)
    yield from verdict_blocks(answer)
    yield from _timeline([term for term in plan.memory_terms if _is_total(term)])
    yield from _terms(f"Memory at its peak (stage {plan.memory.stage}, in {when}), term by term", memory, cited)
    yield from step_blocks(plan)
    yield from _terms("Time of a step, term by term", time, cited)
    yield from source_blocks(cited)
    yield from footnote_blocks(answer.assumptions, answer.notes, answer.provenance)


def _is_total(term: Term) -> bool:
    # A trace has its totals among its terms, named for their component.
    return term.name in (term.component, f"all {term.component}")


def _rank(term: Term) -> int:
    return ORDER.index(term.component) if term.component in ORDER else len(ORDER)


def _terms(title: str, terms: Sequence[Term], cited: Mapping[str, int]) -> Iterator[Block]:
    if not terms:
        return
    ordered = sorted(terms, key=lambda term: (_rank(term), -abs(term.value)))
    yield Heading(title)
    yield Table(
        columns=(left("component"), wrapped("term"), right("value"), wrapped("formula"), wrapped("plugin"), right("")),
        rows=tuple(
            (
                term.component,
                term.name,
                quantity(term.value, term.unit),
                term.formula or NOTHING,
                term.plugin or "core",
                mark(term.source, cited),
            )
            for term in ordered
        ),
    )


def _timeline(totals: Sequence[Term]) -> Iterator[Block]:
    for stage in dict.fromkeys(term.stage for term in totals):
        here = [term for term in totals if term.stage == stage]
        moments = tuple(dict.fromkeys(term.formula for term in here))
        components = tuple(dict.fromkeys(term.component for term in here))
        yield Heading(f"Memory of stage {stage} over a step")
        yield Table(
            columns=(left("component"), *(right(moment.removeprefix("sum at instant ")) for moment in moments)),
            rows=(
                *((LABELS.get(name, name), *(_size(here, moment, name) for moment in moments)) for name in components),
                ("total", *(_size(here, moment) for moment in moments)),
            ),
            strong=frozenset({len(components)}),
        )


def _size(totals: Sequence[Term], moment: str, component: str | None = None) -> str:
    chosen = (term for term in totals if term.formula == moment and component in (None, term.component))
    return format_bytes(fsum(term.value for term in chosen))
