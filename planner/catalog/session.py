"""A connection that reads: an SQLite file by Python's own driver, every other database by SQLAlchemy.

Most questions are asked of a file, and importing SQLAlchemy takes longer than answering them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from planner.catalog.engine import BEGIN_READING, READ_TIMEOUT_S, plain_errors, read_only_uri, reading_engine
from planner.catalog.location import sqlite_path

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Row = dict[str, Any]


class Session(Protocol):
    """What the catalog reads through."""

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql`` …"""

    def select(self, query: str, values: Mapping[str, object]) -> list[Row]:
        """The rows of a query with ``:names``, as dictionaries. Raises what the driver raises."""

    def tables(self) -> set[str]:
        """The names of all tables."""

    def begin(self) -> None:
        """Read one state of the database from now on. Outside, each statement is a transaction of its own."""

    def end(self) -> None:
        """Let go of that state, whatever has become of the connection; nothing where there is none."""

    def close(self) -> None:
        """Close the connection."""


class FileSession:
    """An SQLite file, opened so that it cannot be written."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        """Open the file. Raises sqlite3.Error."""
        self._connection = sqlite3.connect(
            read_only_uri(path), uri=True, timeout=READ_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )

    def select(self, query: str, values: Mapping[str, object]) -> list[Row]:
        """The rows of a query."""
        cursor = self._connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def tables(self) -> set[str]:
        """The names of all tables."""
        return {row["name"] for row in self.select("SELECT name FROM sqlite_master WHERE type = 'table'", {})}

    def begin(self) -> None:
        """Begin a transaction, which locks the file against commits from its first query on."""
        self._connection.execute(BEGIN_READING["sqlite"])

    def end(self) -> None:
        """End it."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class ServerSession:
    """A database that SQLAlchemy connects to."""

    def __init__(self, engine: Engine, connection: Connection) -> None:
        """Read through an open connection."""
        self._engine = engine
        self._connection = connection
        self.dialect = engine.dialect.name

    def select(self, query: str, values: Mapping[str, object]) -> list[Row]:
        """The rows of a query."""
        from sqlalchemy import text

        return [dict(row) for row in self._connection.execute(text(query), values).mappings()]

    def tables(self) -> set[str]:
        """The names of all tables."""
        from sqlalchemy import inspect

        return set(inspect(self._connection).get_table_names())

    def begin(self) -> None:
        """Begin a transaction with one snapshot for all its queries."""
        if self.dialect in BEGIN_READING:
            self._connection.exec_driver_sql(BEGIN_READING[self.dialect])

    def end(self) -> None:
        """End it. A server that is gone keeps none, and says so to whoever asks next."""
        from sqlalchemy.exc import DBAPIError

        with suppress(DBAPIError):
            self._connection.exec_driver_sql("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()


def reading_session(url: str) -> Session:
    """A connection to the database of `url`. Raises CatalogError."""
    path = sqlite_path(url)
    plain_file = path is not None and url.startswith("sqlite:///") and "?" not in url and path.is_file()
    with plain_errors(url):
        if path is not None and plain_file:
            return FileSession(path)
        engine = reading_engine(url)
        return ServerSession(engine, engine.connect())
