"""The TPU slices of November 2026, with the virtual machines that they are made of."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "tpu_0001"
down_revision = None
branch_labels = ("tpu",)
depends_on = "0002"  # the chips, and the virtual machine of v5p, are facts of that release

Row = dict[str, Any]

LAYER = "tpu"
FACTS = Path(__file__).parents[1] / "facts" / "2026-11"
KINDS = {"source": "sources", "node": "nodes", "cluster": "clusters"}
"""The tables, those that others refer to first, and what the catalog calls their entries."""
NUMBERS = {
    "accelerators_per_node": int, "scaleup_domain": int, "nic_count": int, "network_bytes_per_s": float,
    "host_memory_bytes": int, "vcpus": int, "nodes": int,
}  # fmt: skip


def upgrade() -> None:
    """Insert the rows, those that others refer to first."""
    for table, rows in _tables().items():
        op.bulk_insert(sa.table(table, *map(sa.column, rows[0])), rows)


def downgrade() -> None:
    """Delete exactly these rows, those that refer to others first."""
    for table, rows in reversed(_tables().items()):
        keys = ("kind", "key", "layer") if table == "alias" else ("slug", "layer")
        target = sa.table(table, *map(sa.column, keys))
        for row in rows:
            op.execute(target.delete().where(*(target.c[key] == row[key] for key in keys)))


def _tables() -> dict[str, list[Row]]:
    tables = {table: [_row(table, given) for given in _csv(table)] for table in KINDS}
    tables["alias"] = list(_names(tables))
    return tables


def _row(table: str, given: dict[str, str]) -> Row:
    """A line of a file as a row of the branch's layer. A node of the planner's own has the layer ``vendor``."""
    row: Row = {name: NUMBERS[name](text) if name in NUMBERS and text else text for name, text in given.items()}
    row |= {name: None for name in (*NUMBERS, "source_date") if row.get(name) == ""}
    row["layer"] = LAYER
    if table != "source":
        row["document_layer"] = LAYER
    if table == "node":
        row["accelerator_layer"] = "vendor"
    row.pop("aliases", None)
    return row


def _names(tables: dict[str, list[Row]]) -> Iterator[Row]:
    for table, kind in KINDS.items():
        for row, given in zip(tables[table], _csv(table), strict=True):
            aliases = given.get("aliases", "").split()
            for name, role in ((row["slug"], "slug"), *((alias, "alias") for alias in aliases)):
                yield {
                    "kind": kind, "key": _key(name), "layer": LAYER, "alias": name, "slug": row["slug"], "role": role,
                }  # fmt: skip


def _key(name: str) -> str:
    """What a name is looked up by: letters and numbers only, and a hyphen between two numbers."""
    key = ""
    for word in re.findall(r"\d+(?:\.\d+)*|[^\W\d_]+", name.casefold()):
        key += f"-{word}" if key[-1:].isdigit() and word[0].isdigit() else word
    return key


def _csv(table: str) -> list[dict[str, str]]:
    with (FACTS / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
