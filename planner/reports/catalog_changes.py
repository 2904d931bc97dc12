"""What differs between two releases of the catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from planner.reports import columns
from planner.reports.blocks import Block, Flat, Heading, Paragraph, Report, Table, Tone, left, right, wrapped
from planner.reports.plain import plain

if TYPE_CHECKING:
    from planner.catalog.changes import TableChanges
    from planner.catalog.comparison import Difference

KINDS: Final[Mapping[str, str]] = {
    "architecture": "models",
    "carbon_intensity": "carbon",
    "power_draw": "power",
    "failure_rate": "failures",
    "checkpoint_write": "checkpoints",
    "pue": "pue",
    "goodput": "goodput",
    "efficiency": "efficiencies",
    "alias": "aliases",
}
"""What the rows of a table are called, where it is not the table's name with an s."""
PART_OF: Final[Mapping[str, str]] = {
    "peak_rate": "accelerators",
    "peak_source": "accelerators",
    "efficiency": "accelerators",
}
"""Tables whose rows belong to the entries of a kind."""
PROVENANCE: Final = ("name", "document", "source", "source_date", "confidence", "note")
"""Columns that say where a fact is from: what changed in the fact itself comes before them."""
FLAT: Final = ("change", "kind", "entry", "field", "old", "new")
NAMES_SHOWN: Final = 40
ORDER: Final = (
    "accelerator", "peak_rate", "node", "cluster", "price", "link", "vendor", "architecture", "efficiency", "power_draw",
    "carbon_intensity", "pue", "footprint", "failure_rate", "checkpoint_write", "goodput", "peak_source", "source", "alias",
)  # fmt: skip
"""Tables as people look for them; others come last."""


def difference_report(found: Difference, kind: str | None = None) -> Report:
    """Every row for programs; for people a count by kind, each changed field, and the names of what came and went."""
    wanted = [each for each in found.tables if kind is None or kind in (kind_of(each.table), PART_OF.get(each.table))]
    tables = sorted(wanted, key=lambda each: ORDER.index(each.table) if each.table in ORDER else len(ORDER))
    shown = NAMES_SHOWN if kind is None else None
    items = tuple(item for each in tables for item in _items(each))
    document = {
        "schema": "planner.catalog.diff/1",
        "from": {"name": found.old_name, "revision": found.old},
        "to": {"name": found.new_name, "revision": found.new},
        "layer": found.layer,
        "summary": [_count(each) for each in tables],
        "items": [dict(item) for item in items],
    }
    flat = tuple(row for item in items for row in _flat_rows(item))
    return Report(
        document=plain(document), blocks=tuple(_blocks(found, tables, shown)), flat=Flat(columns=FLAT, rows=flat)
    )


def kind_of(table: str) -> str:
    """What the rows of a table are called."""
    return KINDS.get(table, f"{table}s").replace("_", " ")


def _end(name: str, revision: str) -> str:
    return name if name == revision else f"{name} ({revision})"


def _title(found: TableChanges) -> str:
    return "PUE" if found.table == "pue" else kind_of(found.table).capitalize()


def _count(found: TableChanges) -> dict[str, object]:
    return {
        "kind": kind_of(found.table),
        "added": len(found.added),
        "changed": len(found.changed),
        "removed": len(found.removed),
    }


def _items(found: TableChanges) -> Iterator[dict[str, Any]]:
    kind = kind_of(found.table)
    for change in found.changed:
        fields = {name: {"old": change.old[name], "new": change.new[name]} for name in change.new}
        yield {"change": "changed", "kind": kind, "entry": _entry(found, change.key), "fields": fields}
    for row in found.added:
        yield {"change": "added", "kind": kind, "entry": _entry(found, row), "row": dict(row)}
    for row in found.removed:
        yield {"change": "removed", "kind": kind, "entry": _entry(found, row), "row": dict(row)}


def _entry(found: TableChanges, row: Mapping[str, Any]) -> str:
    """What a row is known by: its slug, else the parts of its key."""
    return " ".join(str(row[name]) for name in found.key)


def _flat_rows(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    named = {name: item[name] for name in ("change", "kind", "entry")}
    if item["change"] == "changed":
        for field, values in item["fields"].items():
            yield {**named, "field": field, **values}
        return
    side = "new" if item["change"] == "added" else "old"
    for field, value in item["row"].items():
        if value is not None:
            yield {**named, "field": field, side: value}


def _blocks(found: Difference, tables: Sequence[TableChanges], shown: int | None) -> Iterator[Block]:
    old, new = _end(found.old_name, found.old), _end(found.new_name, found.new)
    if not tables:
        yield Paragraph(f"{old} and {new} hold the same facts", Tone.FAINT)
        return
    yield Heading(f"From {old} to {new}")
    yield Table(
        columns=(left("kind"), right("added"), right("changed"), right("removed")),
        rows=tuple(
            (kind_of(each.table), *(f"{len(part):,}" for part in (each.added, each.changed, each.removed)))
            for each in tables
        ),
    )
    for each in tables:
        if each.changed:
            yield Heading(f"{_title(each)} changed")
            yield _changed_table(each)
    for part in ("added", "removed"):
        for each in tables:
            if rows := getattr(each, part):
                yield Heading(f"{_title(each)} {part}")
                yield Paragraph(_names([_short(each, row) for row in rows], shown))


def _changed_table(found: TableChanges) -> Table:
    return Table(
        columns=(left("entry"), left("field"), wrapped("old"), wrapped("new")),
        rows=tuple(
            (
                _entry(found, change.key),
                columns.title(name),
                _text(name, change.old[name]),
                _text(name, change.new[name]),
            )
            for change in found.changed
            for name in sorted(change.new, key=lambda name: name in PROVENANCE)
        ),
    )


def _text(name: str, value: object) -> str:
    return "" if value is None else columns.text(name, value)


def _short(found: TableChanges, row: Mapping[str, Any]) -> str:
    """What people call a row: many efficiencies of one metric are one name, an alias stands beside its entry."""
    if found.table == "alias":
        return f"{row['alias']} ({row['slug']})"
    return " ".join(str(row[name]) for name in found.key[:2])


def _names(entries: Sequence[str], most: int | None) -> str:
    counts = Counter(entries)
    names = [name if count == 1 else f"{name} ({count} rows)" for name, count in counts.items()]
    if most is None or len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most:,} more; --kind shows all"
