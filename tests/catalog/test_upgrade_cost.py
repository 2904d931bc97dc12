"""A release costs what its facts cost, however many rows the user has."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from planner.catalog.upgrade import upgrade

ROWS = 20_000
"""Each costs thousands of steps to write, and one step to pass over in a scan: a scan of them all would show."""
EVERY = 100
BEFORE, RELEASE = "0004", "0005"
"""A revision that brings facts and alters no table. One that does writes that table anew, on SQLite."""


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
    columns = "slug, layer, name, source, confidence, note, node, nodes"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            f"INSERT INTO cluster ({columns}) VALUES (?, 'user', 'Mine', 'me', 'high', '', 'dgx-a100-640', 3)",
            ((f"own-{number}",) for number in range(count)),
        )
        connection.executemany(
            "INSERT INTO alias VALUES ('clusters', ?, 'user', ?, ?, 'slug')",
            ((f"own{number}", f"own-{number}", f"own-{number}") for number in range(count)),
        )


@pytest.mark.parametrize("repeated", [False, True], ids=["a release", "nothing to do"])
def test_an_upgrade_costs_the_same_with_many_rows_of_the_users(tmp_path: Path, repeated: bool) -> None:
    costs = {}
    for count in (10, ROWS):
        url = str(tmp_path / f"{count}.db")
        upgrade(url, RELEASE if repeated else BEFORE)
        with_own_rows(tmp_path / f"{count}.db", count)
        with steps() as counted:
            upgrade(url, RELEASE)
        costs[count] = counted[0]
    assert costs[ROWS] < 1.2 * costs[10] + ROWS / EVERY / 2, costs
