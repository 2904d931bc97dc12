"""Copies of a catalog, and back again: `planner db backup` and `planner db restore`.

A backup is a catalog: an SQLite file that ``--database`` can name. Of an SQLite catalog it is the whole file, taken while
others read and write. Of a server it holds what the installed revisions bring and the user's layer.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.engine import WRITE_TIMEOUT_S, plain_errors, reading_mode, shown, snapshot, writing_engine
from planner.catalog.findings import ERROR
from planner.catalog.integrity import existing
from planner.catalog.location import core_revisions, database_url, file_url, may_be_there, sqlite_path
from planner.errors import CatalogError, InputError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from planner.catalog.upgrade import Branches

_MUST_HOLD: Final = ("file", "schema", "references")
"""Checks of a catalog without which nothing that is written into it can be relied on."""
_BATCH: Final = 5_000
"""Rows that are copied at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a backup holds, or what a catalog holds after it was restored."""

    file: str
    database: str
    revisions: tuple[str, ...]
    user_rows: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {name: list(v) if isinstance(v := getattr(self, name), tuple) else v for name in self.__slots__}


def backup(url: str | None, file: Path, *, branches: Branches | None = None) -> Copied:
    """Write a copy of the catalog to `file`, whole or not at all.

    Raises InputError where `file` exists or cannot be written, CatalogError where there is no catalog.
    """
    wanted = database_url(url)
    heads = existing(wanted)
    if file.exists():
        raise InputError(f"{str(file)!r} exists already", hint="name another file, or remove that one first")
    path = sqlite_path(wanted)
    with _beside(file) as made:
        try:
            if path is not None:
                _copy_file(path, made, wanted)
            else:
                _write_portable(wanted, heads, made, branches or {})
        except CatalogError as problem:
            # Nobody knows the file under the name that it has until it is whole.
            message = problem.message.replace(f"catalog {shown(file_url(made))}", f"backup {str(file)!r}")
            raise CatalogError(message, hint=problem.hint) from problem
    return Copied(
        file=str(file), database=shown(wanted), revisions=existing(file_url(file)), user_rows=_user_rows(file_url(file))
    )


def restore(url: str | None, file: Path, *, replace: bool = False, branches: Branches | None = None) -> Copied:
    """Make the catalog what the backup `file` holds, whole or not at all.

    A file becomes the backup as it is. On a server the user's layer becomes the backup's, and the facts those of the
    newest revisions. Raises InputError where `file` is no sound catalog, or where there is a catalog already and `replace` is
    not said; CatalogError where the catalog cannot be written.
    """
    wanted = database_url(url)
    _refuse_no_catalog(file, branches or {})
    path = sqlite_path(wanted)
    if path is not None and may_be_there(wanted) and path.samefile(file):
        raise InputError(f"{str(file)!r} is the catalog itself", hint="name a backup of it")
    if (rows := _rows_at_stake(wanted)) is not None and not replace:
        message = f"catalog {shown(wanted)} would be replaced, with {rows} rows of the user's own"
        raise InputError(message, hint="say --yes to replace it; planner db backup keeps a copy")
    if path is not None:
        with plain_errors(wanted):
            path.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(file, path, wanted)
    else:
        _restore_user_rows(wanted, file, branches or {})
    return Copied(file=str(file), database=shown(wanted), revisions=existing(wanted), user_rows=_user_rows(wanted))


def _copy_file(source: Path, target: Path, url: str) -> None:
    """Copy an SQLite database while others use either; the target is as it was until it is the copy."""
    until = time.monotonic() + WRITE_TIMEOUT_S

    def give_up(status: int, _remaining: int, _total: int) -> None:
        # The driver would wait for ever.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise CatalogError(f"catalog {shown(url)} is locked by another program", hint="try again when it has ended")

    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode={reading_mode(source)}", uri=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing, progress=give_up, sleep=0.05)
    except sqlite3.Error as problem:
        # The source is read only, so what cannot grow is the target.
        with plain_errors(file_url(target) if "full" in str(problem) or "I/O" in str(problem) else url):
            _raise_as_sqlalchemy(problem)


def _raise_as_sqlalchemy(problem: sqlite3.Error) -> None:
    from sqlalchemy.exc import DBAPIError

    raise DBAPIError("backup", None, problem) from problem


def _write_portable(url: str, heads: tuple[str, ...], file: Path, branches: Branches) -> None:
    """A catalog in a file with the facts of the revisions at hand, and the user's rows of the server."""
    from planner.catalog.upgrade import orphans, upgrade

    target = file_url(file)
    for head in sorted(set(heads) - set(orphans(heads, branches))):
        upgrade(target, head, branches=branches)
    with snapshot(url) as source:
        _replace_user_rows(source, target)


def _restore_user_rows(url: str, file: Path, branches: Branches) -> None:
    """Put the user's rows of a file of any revision into a catalog at the newest one."""
    from planner.catalog.upgrade import upgrade

    with tempfile.TemporaryDirectory(prefix="planner-restore-") as folder:
        current = Path(folder) / "catalog.db"
        _copy_file(file, current, file_url(file))
        upgrade(file_url(current), branches=branches)
        upgrade(url, branches=branches)
        with snapshot(file_url(current)) as source:
            _replace_user_rows(source, url)


def _replace_user_rows(source: Connection, url: str) -> None:
    """Make the user's layer at `url` that of `source`, in one transaction."""
    from sqlalchemy import delete, insert, select

    from planner.catalog.layers import present
    from planner.catalog.tables import USER_LAYER

    engine = writing_engine(url)
    with plain_errors(url), engine.begin() as target:
        there = {table.name for table in present(source)}
        tables: list[Table] = [table for table in present(target) if table.name in there]
        for table in reversed(tables):
            target.execute(delete(table).where(table.c.layer == USER_LAYER))
        for table in tables:
            columns = _columns_of_both(source, target, table)
            rows = source.execute(
                select(*(table.c[name] for name in columns)).where(table.c.layer == USER_LAYER)
            ).mappings()
            for part in rows.partitions(_BATCH):
                target.execute(insert(table), [dict(row) for row in part])
    engine.dispose()


def _columns_of_both(source: Connection, target: Connection, table: Table) -> list[str]:
    from sqlalchemy import inspect

    there = [{each["name"] for each in inspect(connection).get_columns(table.name)} for connection in (source, target)]
    return [column.name for column in table.columns if column.name in there[0] & there[1]]


def _refuse_no_catalog(file: Path, branches: Branches) -> None:
    """Raise InputError for a file of another program, a damaged one, and one that its revisions did not make.

    Facts that were changed by hand do not count, since a user's rows may stand beside them; a check of the catalog tells.
    """
    from planner.catalog.integrity import check
    from planner.catalog.upgrade import refuse_strangers

    if not file.is_file():
        raise InputError(f"there is no file {str(file)!r}", hint="name one that planner db backup wrote")
    url = file_url(file)
    try:
        heads = existing(url)
        with snapshot(url) as connection:
            refuse_strangers(connection, url)
            damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    except CatalogError as problem:
        message = f"{str(file)!r} is not a catalog: {problem.message}"
        raise InputError(message, hint="name one that planner db backup wrote; nothing was changed") from problem
    newer = [head for head in heads if head.isdigit() and head not in core_revisions()]
    if damage != "ok" or newer:
        why = f"it is at revision {newer[0]}, newer than this program" if newer else f"it is damaged: {damage}"
        raise InputError(f"{str(file)!r} cannot be restored: {why}", hint="nothing was changed")
    for finding in check(url, branches=branches).findings:
        if finding.severity == ERROR and finding.check in _MUST_HOLD:
            table = f"table {finding.table}: " if finding.table else ""
            why = f"{table}{finding.message}{f' ({finding.examples[0]})' if finding.examples else ''}"
            raise InputError(f"{str(file)!r} cannot be restored: {why}", hint="nothing was changed")


def _rows_at_stake(url: str) -> int | None:
    """How many rows of the user's a catalog has; None where there is none. Raises CatalogError for what is no catalog."""
    from planner.catalog.upgrade import current, refuse_strangers

    if not may_be_there(url):
        return None
    with snapshot(url) as connection:
        refuse_strangers(connection, url)
    return _user_rows(url) if current(url) else None


def _user_rows(url: str) -> int:
    from planner.catalog.layers import counts
    from planner.catalog.tables import USER_LAYER

    with snapshot(url) as connection:
        return counts(connection)[USER_LAYER]


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A file to write, which becomes `file` once it is whole and on the disk."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.absolute().parent) as folder:
            made = Path(folder) / file.name
            yield made
            with made.open("rb") as written:
                os.fsync(written.fileno())
            made.replace(file)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise InputError(f"cannot write {str(file)!r}: {reason}", hint="name another file") from problem
