"""Which column of which table speaks of which row: what the database checks, and what it leaves to the user's layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.tables import Base

if TYPE_CHECKING:
    from sqlalchemy import Table

ALIAS: Final = "alias"
_BY_SLUG_ALONE: Final = (("accelerator", "reference_node", "node"),)
"""References that are no foreign keys, because two tables need each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """`column` of `table` holds the slug of a row of `target`, in the layer that `layer_column` names."""

    table: str
    column: str
    target: str
    layer_column: str | None


def layered_tables() -> tuple[Table, ...]:
    """The tables whose rows belong to a layer, those that others refer to first."""
    return tuple(table for table in Base.metadata.sorted_tables if "layer" in table.columns)


def references() -> tuple[Reference, ...]:
    """Every reference by slug, foreign key or not."""
    found = [
        Reference(
            table=table.name,
            column=key.column_keys[0],
            target=key.referred_table.name,
            layer_column=key.column_keys[1],
        )
        for table in layered_tables()
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name))
        if "slug" in key.referred_table.columns
    ]
    found += [
        Reference(table=table, column=column, target=target, layer_column=None)
        for table, column, target in _BY_SLUG_ALONE
    ]
    return tuple(found)


def key_columns(table: Table) -> tuple[str, ...]:
    """The columns that tell the rows of a table apart."""
    return tuple(column.name for column in table.primary_key.columns)


def named(table: Table, row: Mapping[Any, Any]) -> str:
    """A row for people: its key without the layer."""
    return " ".join(str(row[name]) for name in key_columns(table) if name != "layer")
