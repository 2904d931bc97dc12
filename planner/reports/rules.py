"""The answer of `planner estimate`: the rules of thumb, each with the formula to check it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.reports.blocks import Block, Bullets, Facts, Flat, Heading, Paragraph, Report, Table, right, wrapped
from planner.reports.figures import quantity
from planner.reports.sources import mark, numbered, source_blocks
from planner.units import GIGA

BESIDE_A_PLAN: Final = frozenset({"training state, bf16", "activations", "GPUs for training", "training FLOPs"})
COLUMNS: Final = ("name", "value", "unit", "formula", "source", "note")


def report(document: Mapping[str, Any]) -> Report:
    """A ``planner.estimate/1`` document for every format; CSV has one row per rule."""
    items = tuple(document["items"])
    return Report(document=document, blocks=tuple(_blocks(items)), flat=Flat(columns=COLUMNS, rows=items))


def _blocks(items: tuple[Mapping[str, Any], ...]) -> Iterator[Block]:
    yield Paragraph("Rules of thumb; planner plan computes the same from the model's real shape.")
    cited = numbered(item["source"] for item in items)
    yield Table(
        columns=(wrapped("what"), right("value"), wrapped("formula"), right("")),
        rows=tuple(
            (item["name"], _value(item["value"], item["unit"]), item["formula"], mark(item["source"], cited))
            for item in items
        ),
    )
    notes = tuple(f"{item['name']}: {item['note']}" for item in items if item.get("note"))
    if notes:
        yield Heading("Notes")
        yield Bullets(notes)
    yield from source_blocks(cited)


def rules_table(rules: Mapping[str, Mapping[str, Any]]) -> Table:
    """The rules that answer what a plan answers, to set beside it; all of them if none of these is there."""
    shown = {name: rule for name, rule in rules.items() if name in BESIDE_A_PLAN} or rules
    return Table(
        columns=(wrapped("what"), right("value"), wrapped("formula")),
        rows=tuple((name, _value(rule["value"], rule["unit"]), rule["formula"]) for name, rule in shown.items()),
    )


def _value(value: float, unit: str) -> str:
    # The rules are written in decimal gigabytes, and are to be checked as they are written.
    return f"{value / GIGA:,.1f} GB" if unit in ("bytes", "byte", "B") else quantity(value, unit)


def parameters_report(document: Mapping[str, Any]) -> Report:
    """A ``planner.catalog.params/1`` document: exact counts, thousands separated for people."""
    counts = {name: value for name, value in document.items() if name != "schema"}
    rows = tuple((name.replace("_", " "), _counted(value)) for name, value in counts.items())
    return Report(
        document=document,
        blocks=(Facts(rows),),
        flat=Flat(columns=tuple(counts), rows=(counts,)),
    )


def _counted(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
