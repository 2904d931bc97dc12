"""A catalog's database as it is read: queries, in one state of it, and what to say where it does not fit the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from threading import RLock
from typing import Any, Final

from planner.catalog.engine import SchemaError, plain_errors, schema_error, shown, upgradable
from planner.catalog.location import core_revisions
from planner.catalog.session import Session, reading_session
from planner.errors import CatalogError

Row = dict[str, Any]

_BY_BYTES: Final = """
    SELECT datcollate IN ('C', 'POSIX') AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' AS bytewise
    FROM pg_database d WHERE datname = current_database()
"""
"""Older servers have no other provider of languages, and no column that says so."""


class Database:
    """An open database that is only read. Everything raises CatalogError where it fails or does not fit."""

    def __init__(self, url: str, session: Session) -> None:
        """Use `connect` instead."""
        self.url = url
        self._session = session
        self._lock = RLock()
        self._depth = 0

    @classmethod
    def connect(cls, url: str) -> Database:
        """Open the database of `url`, whatever is in it."""
        return cls(url, reading_session(url))

    @property
    def is_sqlite(self) -> bool:
        """Whether it is an SQLite file."""
        return self._session.dialect == "sqlite"

    @cached_property
    def bytewise(self) -> str:
        """What follows a column in ORDER BY: a server sorts by its language, where SQLite compares bytes.

        Nothing where the server's database compares bytes by itself: its indexes are in that order then.
        """
        if self._session.dialect != "postgresql" or self.select(_BY_BYTES)[0]["bytewise"]:
            return ""
        return ' COLLATE "C"'

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the database, whoever writes meanwhile; a snapshot within another is a part of it.

        An SQLite file without a write-ahead log cannot be written until it ends: read in it, compute after it.
        """
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                with plain_errors(self.url):
                    self._session.begin()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if outermost:
                    self._session.end()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A snapshot for making records of rows: where a row lacks a column, the database does not fit."""
        with self.snapshot():
            try:
                yield
            except KeyError as missing:
                raise self.older() or schema_error(self.url) from missing

    def select(self, query: str, **values: object) -> list[Row]:
        """The rows of a query with ``:names``."""
        try:
            return self._read(query, values)
        except SchemaError as error:
            raise self.older() or error from error.__cause__

    def tables(self) -> set[str]:
        """The names of all tables."""
        with plain_errors(self.url):
            return self._session.tables()

    def heads(self) -> tuple[str, ...]:
        """The migration revisions that it is at, one for each branch."""
        return tuple(sorted(str(row["version_num"]) for row in self._read("SELECT version_num FROM alembic_version")))

    def older(self) -> CatalogError | None:
        """What to say of a database at an older revision than this program's; None for one that is up to date."""
        newest = core_revisions()[-1]
        self._session.end()  # a server answers nothing more in a transaction that has failed
        try:
            at = self.heads()
        except SchemaError:
            return None
        if newest in at:
            return None
        message = (
            f"catalog {shown(self.url)} is at revision {', '.join(at) or 'base'}, older than this program ({newest})"
        )
        if upgradable(self.url):
            return CatalogError(message, hint="run: planner db upgrade")
        if self._session.dialect == "postgresql":
            return CatalogError(
                f"{message}, and your role may not upgrade it", hint="ask its owner to run planner db upgrade"
            )
        hint = "make the file and its directory writable and run planner db upgrade, or name another with --database"
        return CatalogError(f"{message}, and read-only", hint=hint)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _read(self, query: str, values: Mapping[str, object] | None = None) -> list[Row]:
        with plain_errors(self.url):
            return self._session.select(query, values or {})


@contextmanager
def older_is_said(url: str) -> Iterator[None]:
    """Say of a database without the tables that are asked for that it is older than the program, where it is."""
    try:
        yield
    except SchemaError as error:
        database = Database.connect(url)
        try:
            raise database.older() or error from error.__cause__
        finally:
            database.close()
