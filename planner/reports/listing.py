"""Lists and single entries: catalog rows, plugins, revisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from planner.reports import columns
from planner.reports.blocks import (
    Block,
    Column,
    Facts,
    Flat,
    Heading,
    Paragraph,
    Report,
    Table,
    Tone,
    left,
    right,
    wrapped,
)
from planner.reports.plain import plain
from planner.reports.sources import mark, numbered, source_blocks

Row = Mapping[str, Any]
SOURCE: Final = "source"


def listing(schema: str, items: Iterable[Row], shown: Sequence[str], *, empty: str) -> Report:
    """A list of records: all fields for programs, the `shown` ones for people; `empty` is said where there is none."""
    rows = tuple(plain(item) for item in items)
    every = tuple(dict.fromkeys(key for row in rows for key in row)) or tuple(shown)
    block: Block = table_of(rows, shown) if rows else Paragraph(empty, Tone.FAINT)
    document = {"schema": schema, "items": [dict(row) for row in rows]}
    return Report(document=document, blocks=(block,), flat=Flat(columns=every, rows=rows))


def entry(schema: str, title: str, fields: Row) -> Report:
    """One record: every field that has a value, and a table for each field that holds records."""
    return Report(
        document={"schema": schema, **fields},
        blocks=(Heading(title), *_entry_blocks(plain(fields))),
        flat=Flat(columns=tuple(fields), rows=(fields,)),
    )


def table_of(rows: Sequence[Row], shown: Sequence[str]) -> Table:
    """The `shown` fields of records, numbers to the right."""
    return Table(
        columns=tuple(_column(name, rows) for name in shown),
        rows=tuple(tuple(_cell(name, row.get(name)) for name in shown) for row in rows),
    )


def _entry_blocks(fields: Row) -> Iterator[Block]:
    # Which layer of the catalog a reference points into matters to programs only.
    known = {
        name: value
        for name, value in fields.items()
        if value not in (None, "", [], {}) and not (name.endswith("_layer") and name.removesuffix("_layer") in fields)
    }
    records = {name: value for name, value in known.items() if _holds_records(value)}
    yield Facts(
        tuple((columns.title(name), columns.text(name, value)) for name, value in known.items() if name not in records)
    )
    cited = numbered(str(row.get(SOURCE) or "") for rows in records.values() for row in rows)
    for name, rows in records.items():
        yield Heading(columns.title(name).capitalize())
        marked = [{**row, SOURCE: mark(row.get(SOURCE), cited)} for row in rows]
        shown = dict.fromkeys(key for row in marked for key in row if any(other.get(key) for other in marked))
        yield table_of(marked, tuple(shown))
    yield from source_blocks(cited)


def _holds_records(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _column(name: str, rows: Sequence[Row]) -> Column:
    values = [row.get(name) for row in rows if row.get(name) is not None]
    if values and all(_is_number(value) for value in values):
        return right(columns.title(name))
    # Sentences may wrap; a slug broken in two could not be copied.
    sentences = any(" " in str(value) for value in values if not isinstance(value, bool))
    return wrapped(columns.title(name)) if sentences else left(columns.title(name))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(name: str, value: object) -> str:
    return "" if value is None else columns.text(name, value)
