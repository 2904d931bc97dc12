"""A revision costs what its facts cost, however many rows the user has."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from planner.catalog.location import core_revisions
from planner.catalog.upgrade import upgrade

ROWS = 4_000
"""Of each table. Each costs thousands of steps to write, and one step to pass over in a scan: a scan of them all would show."""
EVERY = 100
GROWING = ("0001", "0002", "0003", "0004", "0008")
"""Their rules and indexes are of all rows, so each row of the user's is looked at once. No other may be so."""
COPIED = (
    "source",
    "vendor",
    "link",
    "architecture",
    "accelerator",
    "peak_rate",
    "efficiency",
    "node",
    "cluster",
    "price",
)


@contextlib.contextmanager
def steps() -> Iterator[list[int]]:
    """How many hundreds of instructions of its virtual machine SQLite takes."""
    counted = [0]

    def count() -> None:
        counted[0] += 1

    def listen(connection: Any, _record: object) -> None:
        connection.set_progress_handler(count, EVERY)

    sa.event.listen(sa.Engine, "connect", listen)
    try:
        yield counted
    finally:
        sa.event.remove(sa.Engine, "connect", listen)


def with_own_rows(path: Path, count: int) -> None:
    """Copy a released row of every table `count` times into the user's layer."""
    numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for table in COPIED:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            own = {f"{name}_layer": "NULL" for name in columns} | {"slug": "'own-' || n", "layer": "'user'"}
            if "slug" not in columns:
                own["accelerator"] = "'own-' || n"
            values = ", ".join(own.get(name, f't."{name}"') for name in columns)
            one = f"SELECT * FROM {table} WHERE layer = 'vendor' LIMIT 1"
            connection.execute(f"INSERT INTO {table} {numbers} SELECT {values} FROM numbers, ({one}) t")
        connection.execute(
            f"INSERT INTO alias {numbers} SELECT 'clusters', 'own' || n, 'user', 'own-' || n, 'own-' || n, 'slug' FROM numbers"
        )


@pytest.mark.parametrize("revision", [each for each in core_revisions() if each not in GROWING])
@pytest.mark.parametrize("repeated", [False, True], ids=["a revision", "nothing to do"])
def test_an_upgrade_costs_the_same_with_many_rows_of_the_users(tmp_path: Path, revision: str, repeated: bool) -> None:
    costs = {}
    before = core_revisions()[core_revisions().index(revision) - 1]
    for count in (10, ROWS):
        url = str(tmp_path / f"{count}.db")
        upgrade(url, revision if repeated else before)
        with_own_rows(tmp_path / f"{count}.db", count)
        with steps() as counted:
            upgrade(url, revision)
        costs[count] = counted[0]
    assert costs[ROWS] < 1.2 * costs[10] + ROWS / EVERY / 2, costs
