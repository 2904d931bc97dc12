"""The answer of `planner explain`: each term with its value, formula, plugin and source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import fsum
from typing import Final

from planner.domain.plan import MEMORY_COMPONENTS, EvaluateAnswer, Term
from planner.reports.blocks import Block, Flat, Heading, Report, Table, left, right, wrapped
from planner.reports.evaluate import verdict_blocks
from planner.reports.figures import NOTHING, quantity
from planner.reports.footnotes import footnote_blocks
from planner.reports.memory import INSTANTS, LABELS
from planner.reports.sources import mark, numbered, source_blocks
from planner.units import format_bytes

COLUMNS: Final = ("quantity", "component", "name", "value", "unit", "stage", "instant", "formula", "plugin", "source")


def report(answer: EvaluateAnswer) -> Report:
    """Every term for every format; CSV has one row per term."""
    rows = (
        *({"quantity": "memory", **term.to_dict()} for term in answer.plan.memory_terms),
        *({"quantity": "time", **term.to_dict()} for term in answer.plan.time_terms),
    )
    return Report(document=answer.explain_dict(), blocks=tuple(_blocks(answer)), flat=Flat(columns=COLUMNS, rows=rows))


def _blocks(answer: EvaluateAnswer) -> Iterator[Block]:
    plan = answer.plan
    sources = numbered(term.source for term in (*plan.memory_terms, *plan.time_terms))
    yield from verdict_blocks(answer)
    yield from _timeline(plan.memory_terms)
    yield from _terms("Memory, term by term", plan.memory_terms, sources)
    yield from _terms("Time of one step, term by term", plan.time_terms, sources)
    yield from source_blocks(sources)
    yield from footnote_blocks(answer.assumptions, answer.notes, answer.provenance)


def _terms(title: str, terms: tuple[Term, ...], sources: Mapping[str, int]) -> Iterator[Block]:
    if not terms:
        return
    yield Heading(title)
    ordered = sorted(terms, key=lambda term: (_rank(term.component), -abs(term.value)))
    yield Table(
        columns=(left("component"), wrapped("term"), right("value"), wrapped("formula"), wrapped("plugin"), right("")),
        rows=tuple(_row(term, sources) for term in ordered),
    )


def _row(term: Term, sources: Mapping[str, int]) -> tuple[str, ...]:
    instant = "" if term.instant is None else f" ({term.instant})"
    return (
        term.component,
        f"{term.name}{instant}",
        quantity(term.value, term.unit),
        term.formula or NOTHING,
        term.plugin or "core",
        mark(term.source, sources),
    )


def _rank(component: str) -> int:
    return MEMORY_COMPONENTS.index(component) if component in MEMORY_COMPONENTS else len(MEMORY_COMPONENTS)


def _timeline(terms: tuple[Term, ...]) -> Iterator[Block]:
    dated = [term for term in terms if term.instant in INSTANTS]
    if not dated:
        return
    instants = [instant for instant in INSTANTS if any(term.instant == instant for term in dated)]
    components = [name for name in MEMORY_COMPONENTS if any(term.component == name for term in dated)]
    yield Heading("Memory over one step")
    yield Table(
        columns=(left("component"), *(right(f"in {INSTANTS[instant]}") for instant in instants)),
        rows=(
            *((LABELS[name], *(_total(dated, instant, name) for instant in instants)) for name in components),
            ("total", *(_total(dated, instant) for instant in instants)),
        ),
        strong=frozenset({len(components)}),
    )


def _total(terms: Iterable[Term], instant: str, component: str | None = None) -> str:
    chosen = (term for term in terms if term.instant == instant and component in (None, term.component))
    return format_bytes(fsum(term.value for term in chosen))
