"""Whether a catalog is what its revisions made it: `planner db check`.

The released facts are compared with a catalog that the same revisions make anew in a temporary file: whatever a revision
brings, today or in five years, is what is expected, so nothing but the revisions needs to be kept or trusted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from planner.catalog.engine import reading_engine, shown, snapshot
from planner.catalog.findings import ERROR, FEW, WARNING, Checkup, Finding
from planner.catalog.location import core_revisions, database_url
from planner.errors import CatalogError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from planner.catalog.upgrade import Branches


def check(url: str | None = None, *, branches: Branches | None = None) -> Checkup:
    """Look over the whole catalog, in one snapshot of it, and change nothing. `branches` are those of installed plugins.

    Raises CatalogError where there is no catalog, or none that can be read.
    """
    from planner.catalog import layers
    from planner.catalog.tables import USER_LAYER

    wanted, branches = database_url(url), branches or {}
    heads = existing(wanted)
    newer = [head for head in heads if head.isdigit() and head not in core_revisions()]
    if newer:
        message = f"at revision {newer[0]}, newer than this program ({core_revisions()[-1]}): update the planner"
        found = (Finding(check="revision", severity=ERROR, message=message),)
        return Checkup(database=shown(wanted), revisions=heads, facts=0, user_rows=0, findings=found)
    with snapshot(wanted) as connection, _made_anew(heads, branches) as expected:
        if damage := tuple(_file(connection)):
            return Checkup(database=shown(wanted), revisions=heads, facts=0, user_rows=0, findings=damage)
        findings = [
            *_revision(heads, branches),
            *_schema(connection, expected, heads),
            *_references(connection),
            *layers.facts(connection, expected, branches),
            *layers.orphans(connection, branches),
            *layers.user_rows(connection),
            *layers.conflicts(connection),
            *layers.waiting(connection),
            *layers.names(connection),
            *layers.taken(connection),
        ]
        counts = layers.counts(connection)
    user = counts.pop(USER_LAYER, 0)
    return Checkup(
        database=shown(wanted), revisions=heads, facts=sum(counts.values()), user_rows=user, findings=tuple(findings)
    )


def existing(url: str) -> tuple[str, ...]:
    """The revisions of a catalog that has to be there already. Raises CatalogError."""
    from planner.catalog.upgrade import current

    heads = current(url)
    if not heads:
        raise CatalogError(f"there is no catalog {shown(url)} yet", hint="planner db upgrade makes one")
    return heads


@contextmanager
def _made_anew(heads: Sequence[str], branches: Branches) -> Iterator[Connection]:
    """A catalog at the same revisions, but for those of plugins that are not installed."""
    from planner.catalog.upgrade import orphans, upgrade

    gone = orphans(heads, branches)
    with tempfile.TemporaryDirectory(prefix="planner-check-") as folder:
        url = f"sqlite:///{Path(folder) / 'expected.db'}"
        for head in sorted(set(heads) - set(gone)):
            upgrade(url, head, branches=branches)
        # What fails from here on is the other catalog's.
        with reading_engine(url).connect() as connection:
            yield connection


def _file(connection: Connection) -> Iterator[Finding]:
    from sqlalchemy.exc import DatabaseError

    if connection.dialect.name != "sqlite":
        return
    try:
        damage = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    except DatabaseError as error:
        damage = [str(error.orig)]
    if damage != ["ok"]:
        yield Finding(
            check="file", severity=ERROR, rows=len(damage), examples=tuple(damage[:FEW]),
            message="the file is damaged: restore a backup, or move it away and the next command makes a new one",
        )  # fmt: skip


def _revision(heads: Sequence[str], branches: Branches) -> Iterator[Finding]:
    from planner.catalog.upgrade import orphans

    newest = core_revisions()[-1]
    if newest not in heads:
        message = f"at {', '.join(heads)}; this program has {newest}: planner db upgrade"
        yield Finding(check="revision", severity=WARNING, message=message)
    for head in orphans(heads, branches):
        message = f"the plugin that brought {head} is not installed: install it again, or planner db prune"
        yield Finding(check="revision", severity=WARNING, message=message)


def _schema(connection: Connection, expected: Connection, heads: Sequence[str]) -> Iterator[Finding]:
    from planner.catalog import schema_of_file, schema_of_server

    if connection.dialect.name == "sqlite":
        return schema_of_file.differences(connection, expected)
    return schema_of_server.differences(connection, expected, newest=core_revisions()[-1] in heads)


def _references(connection: Connection) -> Iterator[Finding]:
    if connection.dialect.name != "sqlite":
        return  # a server never lets go of a key that it checks
    broken: dict[tuple[str, str], int] = {}
    for table, _, target, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        broken[table, target] = broken.get((table, target), 0) + 1
    for (table, target), count in broken.items():
        message = f"rows refer to rows of {target} that are gone"
        yield Finding(check="references", severity=ERROR, table=table, rows=count, message=message)
