"""The answer of `planner estimate`: the rules of thumb, each with the formula to check it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.reports.blocks import Block, Bullets, Flat, Heading, Paragraph, Report, Table, left, right, wrapped
from planner.reports.figures import quantity
from planner.units import GIGA

COLUMNS: Final = ("name", "value", "unit", "formula", "source", "note")


def report(document: Mapping[str, Any]) -> Report:
    """A ``planner.estimate/1`` document for every format; CSV has one row per rule."""
    items = tuple(document["items"])
    return Report(document=document, blocks=tuple(_blocks(items)), flat=Flat(columns=COLUMNS, rows=items))


def _blocks(items: tuple[Mapping[str, Any], ...]) -> Iterator[Block]:
    yield Paragraph("Rules of thumb; planner plan computes the same from the model's real shape.")
    yield Table(
        columns=(wrapped("what"), right("value"), wrapped("formula"), wrapped("source")),
        rows=tuple(
            (item["name"], _value(item["value"], item["unit"]), item["formula"], item["source"]) for item in items
        ),
    )
    notes = tuple(f"{item['name']}: {item['note']}" for item in items if item.get("note"))
    if notes:
        yield Heading("Notes")
        yield Bullets(notes)


def rules_table(rules: Mapping[str, Mapping[str, Any]]) -> Table:
    """Rules by name, to set beside a plan."""
    return Table(
        columns=(wrapped("what"), right("value"), wrapped("formula")),
        rows=tuple((name, _value(rule["value"], rule["unit"]), rule["formula"]) for name, rule in rules.items()),
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
        blocks=(Table(columns=(left("parameters"), right("count")), rows=rows),),
        flat=Flat(columns=tuple(counts), rows=(counts,)),
    )


def _counted(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
