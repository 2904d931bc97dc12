"""Release 2026-11d: the clamped activation of gpt-oss.

Revision ID: 0009
Revises: 0008

Moves exactly what seed_data/releases/2026-11d/changes.json lists.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Row = dict[str, Any]

LAYER = "vendor"
# Frozen with this revision: a correction is a release of its own.
FILE = Path(__file__).resolve().parents[2] / "seed_data" / "releases" / "2026-11d" / "changes.json"


def upgrade() -> None:
    """Insert, change, then delete: those that others refer to are there first and gone last."""
    tables = _tables()
    for table in tables:
        _insert(table, table["added"])
    for table in tables:
        _update(table, "new")
    for table in reversed(tables):
        _delete(table, table["removed"])


def downgrade() -> None:
    """The same the other way round: what was removed comes back, what was changed has its value of before."""
    tables = _tables()
    for table in tables:
        _insert(table, table["removed"])
    for table in tables:
        _update(table, "old")
    for table in reversed(tables):
        _delete(table, table["added"])


def _tables() -> list[Row]:
    found: list[Row] = json.loads(FILE.read_text(encoding="utf-8"))["tables"]
    return found


def _insert(table: Row, rows: list[Row]) -> None:
    # One statement for all rows: every one has every column.
    whole = [dict.fromkeys(table["columns"]) | _layered(table, row) for row in rows]
    if whole:
        op.bulk_insert(sa.table(table["table"], *map(sa.column, whole[0])), whole)


def _layered(table: Row, row: Row) -> Row:
    """The row with its layer and, unless it says so itself, that of each row that it refers to."""
    layers = {f"{name}_layer": LAYER if row.get(name) is not None else None for name in table["references"]}
    return {"layer": LAYER} | layers | row


def _update(table: Row, side: str) -> None:
    columns: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for change in table["changed"]:
        columns[tuple(change[side])].append(change)
    for names, changes in columns.items():
        target = _target(table, names)
        new: Row = {name: sa.bindparam(f"to_{name}") for name in names}
        values = [
            _keys(table, change["key"]) | {f"to_{name}": change[side][name] for name in names} for change in changes
        ]
        op.get_bind().execute(sa.update(target).where(*_known_by(table, target)).values(new), values)


def _delete(table: Row, rows: list[Row]) -> None:
    if rows:
        target = _target(table)
        op.get_bind().execute(sa.delete(target).where(*_known_by(table, target)), [_keys(table, row) for row in rows])


def _target(table: Row, names: tuple[str, ...] = ()) -> sa.TableClause:
    return sa.table(table["table"], *map(sa.column, dict.fromkeys((*table["key"], "layer", *names))))


def _known_by(table: Row, target: sa.TableClause) -> list[sa.ColumnElement[bool]]:
    return [target.c[name] == sa.bindparam(f"key_{name}") for name in (*table["key"], "layer")]


def _keys(table: Row, row: Row) -> Row:
    return {f"key_{name}": row[name] for name in table["key"]} | {"key_layer": LAYER}
