"""What differs between two states of a catalog's facts: rows added, rows changed column by column, rows removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]
"""The rows of each table, those that others refer to first."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row that both states have: its key, and the columns that differ, before and after."""

    key: Row
    old: Row
    new: Row


@dataclass(frozen=True, slots=True)
class TableChanges:
    """What differs in one table, each part in the order of the state that it is from."""

    table: str
    key: tuple[str, ...]
    added: tuple[Row, ...] = ()
    changed: tuple[Change, ...] = ()
    removed: tuple[Row, ...] = ()

    def __len__(self) -> int:
        """How many rows differ."""
        return len(self.added) + len(self.changed) + len(self.removed)


def changes(old: Tables, new: Tables, keys: Mapping[str, tuple[str, ...]]) -> tuple[TableChanges, ...]:
    """The tables of `new` and `old` that differ; `keys` are the columns that a table's rows are known by.

    Raises InputError where a state has two rows of one key.
    """
    order = dict.fromkeys((*new, *old))
    found = (_table_changes(table, keys[table], old.get(table, ()), new.get(table, ())) for table in order)
    return tuple(each for each in found if len(each))


def _table_changes(table: str, key: tuple[str, ...], old: Sequence[Row], new: Sequence[Row]) -> TableChanges:
    before, after = _by_key(table, key, old), _by_key(table, key, new)
    both = [identity for identity in after if identity in before]
    return TableChanges(
        table,
        key,
        added=tuple(row for identity, row in after.items() if identity not in before),
        changed=tuple(
            change for identity in both if (change := _change(key, before[identity], after[identity])) is not None
        ),
        removed=tuple(row for identity, row in before.items() if identity not in after),
    )


def _by_key(table: str, key: tuple[str, ...], rows: Sequence[Row]) -> dict[tuple[object, ...], Row]:
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        identity = tuple(row[column] for column in key)
        if identity in found:
            named = ", ".join(f"{column} {row[column]!r}" for column in key)
            raise InputError(f"two rows of {table} have {named}", hint="remove one of them")
        found[identity] = row
    return found


def _change(key: tuple[str, ...], old: Row, new: Row) -> Change | None:
    columns = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    if not columns:
        return None
    return Change(
        key={column: new[column] for column in key},
        old={name: old.get(name) for name in columns},
        new={name: new.get(name) for name in columns},
    )
