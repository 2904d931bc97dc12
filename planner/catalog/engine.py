"""Connections to the catalog's database, and its failures in one line each."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from planner.catalog.location import sqlite_path
from planner.errors import CatalogError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import DBAPIError

READ_TIMEOUT_S: Final = 5.0
"""How long a reader waits for a locked SQLite file."""
WRITE_TIMEOUT_S: Final = 30.0
"""How long an upgrade waits for another one to end."""
WRITE_CACHE_KIB: Final = 65_536
"""How much of an SQLite file a writer holds in memory, at most."""
CONNECT_TIMEOUT_S: Final = 10
"""How long a server may take to answer."""
_FOR_EXAMPLE: Final = "for example sqlite:///catalog.db"
BEGIN_READING: Final = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
"""What begins a transaction whose statements all see the same state, on a connection that else commits each."""

_ASK_OWNER: Final = "ask its owner; reading needs the right to SELECT, keeping rows of your own that to write too"
_KNOWN_FAILURES: Final = (
    ("locked", "is locked by another program", "try again when it has ended"),
    ("lock timeout", "is locked by another program", "try again when it has ended"),
    ("deadlock", "is locked by another program", "try again when it has ended"),
    ("insufficientprivilege", "does not let your role do that", _ASK_OWNER),
    (
        "read-only transaction",
        "may only be read: the server is a replica, or set so",
        "name the server that is written",
    ),
    ("readonly", "cannot be written", "make the file and its directory writable, or name another with --database"),
    ("read-only", "cannot be written", "make the file and its directory writable, or name another with --database"),
    ("not a database", "is not an SQLite database", "name another with --database"),
    ("malformed", "is corrupt", "move the file away: the next command makes a new one"),
    ("unable to open", "cannot be opened", "check that the path exists and that you may use it"),
    ("is full", "cannot grow: the disk is full", "make room, then try again; nothing was changed"),
    (
        "disk i/o error",
        "cannot be read or written: the disk fails, or is full",
        "look after the disk; nothing was changed",
    ),
    ("no space left", "cannot grow: the disk is full", "make room, then try again; nothing was changed"),
)
_MAY_UPGRADE: Final = """
    SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('alembic_version')
"""
_MAY_CREATE: Final = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
_MAY_WRITE: Final = "SELECT has_table_privilege(to_regclass('alias')::oid, 'INSERT')"
_IS_REPLICA: Final = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"
_OTHER_TABLES: Final = ("no such column", "has no column", "no such table", "undefinedtable", "undefinedcolumn")


class SchemaError(CatalogError):
    """The tables of a database are not those that the program reads."""


def schema_error(url: str) -> SchemaError:
    """What to say of a database whose tables do not fit the revision that it claims to be at."""
    away = "name an empty one" if sqlite_path(url) is None else "delete the file or name another"
    message = f"catalog {shown(url)} does not fit this program: a development version of the same revision made it"
    return SchemaError(message, hint=f"{away} with PLANNER_DATABASE_URL; the catalog is made again on first use")


def reading_engine(url: str) -> Engine:
    """An engine that only reads: an SQLite file is opened so that it cannot be written. Raises CatalogError."""
    from sqlalchemy import event

    parsed = _parsed(url)
    path = sqlite_path(url)
    if path is None:
        engine = _engine(parsed, READ_TIMEOUT_S, isolation_level="AUTOCOMMIT")
        if engine.dialect.name == "postgresql":
            # A reader waits only for an upgrade that alters the table; one that hangs must not hang all others.
            event.listen(engine, "connect", _set_lock_timeout(READ_TIMEOUT_S))
        return engine
    if path.exists() and not path.is_file():
        raise CatalogError(f"catalog {path} is not a file", hint="name an SQLite file with --database")
    # Each statement is a transaction of its own, unless `snapshot` holds them together.
    query = {**parsed.query, "mode": reading_mode(path), "uri": "true"}
    return _engine(parsed.set(database=_file_uri(path), query=query), READ_TIMEOUT_S, isolation_level="AUTOCOMMIT")


@contextmanager
def snapshot(url: str) -> Iterator[Connection]:
    """A connection that only reads, and whose statements all see the same state. Raises CatalogError."""
    with plain_errors(url):
        engine = reading_engine(url)
        with engine.connect() as connection:
            connection.exec_driver_sql(BEGIN_READING.get(connection.dialect.name, "BEGIN"))
            yield connection
            connection.exec_driver_sql("ROLLBACK")


def writing_engine(url: str, *, foreign_keys: bool = True) -> Engine:
    """An engine whose transactions on SQLite are atomic, DDL included, and lock when they begin. Raises CatalogError.

    `foreign_keys` is False for migrations, which rebuild tables: SQLite heeds the pragma only outside a transaction.
    """
    from sqlalchemy import event

    parsed = _parsed(url)
    engine = _engine(parsed, WRITE_TIMEOUT_S)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
            # Else the driver commits before DDL, and a failing revision leaves half of its tables behind.
            connection.isolation_level = None
            connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
            # Rows of an import come in no order of an index: with SQLite's own 2 MB each page would be written many times.
            connection.execute(f"PRAGMA cache_size=-{WRITE_CACHE_KIB}")

        @event.listens_for(engine, "begin")
        def _lock(connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy's connection
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _set_lock_timeout(WRITE_TIMEOUT_S))
    return engine


def writable(url: str) -> bool:
    """Whether rows of one's own can be kept, as far as the file, the URL or a server's rights tell."""
    return _permitted(url, _MAY_WRITE)


def upgradable(url: str) -> bool:
    """Whether revisions can be run: on a server, by the role that owns the tables or, before there are any, may make some."""
    return _permitted(url, _MAY_UPGRADE, _MAY_CREATE)


def _permitted(url: str, *questions: str) -> bool:
    """Whether a file can be written, or a server that is no replica says yes to the first question that has an answer."""
    path = sqlite_path(url)
    if path is not None:
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    if not url.startswith("postgresql"):
        return "mode=ro" not in url and "immutable=1" not in url
    engine = reading_engine(url)
    with plain_errors(url), engine.connect() as connection:
        answers = (connection.exec_driver_sql(question).scalar() for question in questions)
        return not connection.exec_driver_sql(_IS_REPLICA).scalar() and bool(
            next((a for a in answers if a is not None), False)
        )


def _set_lock_timeout(timeout_s: float) -> Callable[[Any, object], None]:
    def configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {round(timeout_s * 1000)}")
        connection.commit()

    return configure


@contextmanager
def plain_errors(url: str) -> Iterator[None]:
    """Turn what a database or its driver raises into a CatalogError of one line."""
    try:
        yield
    except sqlite3.Error as error:
        raise _failure(url, str(error), type(error).__name__) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"catalog {shown(url)} cannot be made: {reason}"
        raise CatalogError(message, hint="name another with --database") from error
    except Exception as error:
        # Without SQLAlchemy, which takes long to import, nothing of it can have been raised.
        if "sqlalchemy" not in sys.modules:
            raise
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        if isinstance(error, DBAPIError):
            first = _first(error)
            raise _failure(url, str(first), type(first).__name__) from error
        if isinstance(error, SQLAlchemyError):
            raise _failure(url, str(error), type(error).__name__) from error
        raise


def shown(url: str) -> str:
    """The URL for people: a plain path for a file, and never a password."""
    path = sqlite_path(url)
    if path is not None:
        return str(path)
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return repr(_without_password(url))


def _without_password(url: str) -> str:
    """A text that is no URL, without what may be a user and a password in it."""
    return re.sub(r"(?<=://).*@", "***@", url, flags=re.DOTALL)


def _first(error: DBAPIError) -> BaseException:
    """What the driver raised first: where a full disk ends a transaction, its savepoints cannot be found any more."""
    found: BaseException = error.orig or error
    while "no such savepoint" in str(found) and found.__context__ is not None:
        found = found.__context__
        found = getattr(found, "orig", None) or found
    return found


def change_refused(url: str) -> CatalogError | None:
    """Why a server's tables cannot be changed: it is a replica, or the role does not own them; None where they can."""
    if not url.startswith("postgresql") or upgradable(url):
        return None
    with plain_errors(url), reading_engine(url).connect() as connection:
        replica = connection.exec_driver_sql(_IS_REPLICA).scalar()
    return _failure(url, "read-only transaction" if replica else "insufficientprivilege", "")


def _failure(url: str, text: str, kind: str) -> CatalogError:
    first = text.strip().splitlines()[0] if text.strip() else kind
    searched = f"{kind} {first}".lower()
    if any(part in searched for part in _OTHER_TABLES):
        return schema_error(url)
    for part, what, hint in _KNOWN_FAILURES:
        if part in searched:
            return CatalogError(f"catalog {shown(url)} {what}", hint=hint)
    return CatalogError(f"catalog {shown(url)} cannot be used: {first}", hint="check --database")


def _parsed(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    no_url = CatalogError(f"{_without_password(url)!r} is not a database URL", hint=_FOR_EXAMPLE)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise no_url from error
    if "\0" in unquote(url):
        raise no_url
    path = sqlite_path(url)
    if parsed.drivername.startswith("sqlite"):
        _refuse_memory(parsed)
        _refuse_options(parsed, ("timeout",) if path is not None else None)
    # Releases of SQLAlchemy differ in whether they unquote the path.
    return parsed if path is None else parsed.set(database=str(path))


def _refuse_memory(url: URL) -> None:
    database = (url.database or "").removeprefix("file:")
    if database in ("", ":memory:") or url.query.get("mode") == "memory":
        raise CatalogError("a catalog in memory would be gone at once", hint=_FOR_EXAMPLE)


def _refuse_options(url: URL, known: Collection[str] | None) -> None:
    """Refuse what the driver would pass over (an option that is not `known`), and a time that is none."""
    unknown = next((name for name in url.query if known is not None and name not in known), None)
    if unknown is not None:
        hint = (
            "timeout=SECONDS is one; others go with SQLite's own form, as in sqlite:///file:catalog.db?mode=ro&uri=true"
        )
        raise CatalogError(f"the URL of a file takes no option {unknown!r}", hint=hint)
    timeout = url.query.get("timeout", "0")
    if not isinstance(timeout, str) or not re.fullmatch(r"\d{1,6}(\.\d*)?|\.\d+", timeout, re.ASCII):
        raise CatalogError(f"timeout must be a number of seconds, not {timeout!r}", hint="for example ?timeout=30")


def _engine(url: URL, timeout_s: float, **options: Any) -> Engine:  # noqa: ANN401 - create_engine's options
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError
    from sqlalchemy.pool import NullPool

    backend = url.get_backend_name()
    limit = {"sqlite": ("timeout", timeout_s), "postgresql": ("connect_timeout", CONNECT_TIMEOUT_S)}.get(backend)
    arguments = {limit[0]: limit[1]} if limit is not None and limit[0] not in url.query else {}
    try:
        return create_engine(url, connect_args=arguments, poolclass=NullPool, **options)
    except NoSuchModuleError as error:
        raise CatalogError(f"no driver for a {url.drivername} database", hint="use sqlite or postgresql") from error
    except ModuleNotFoundError as error:
        postgresql = backend == "postgresql" and error.name == "psycopg"
        hint = "pip install 'gpu-planner[postgresql]'" if postgresql else f"install the Python package {error.name}"
        raise CatalogError(f"the driver of {url.drivername} is not installed", hint=hint) from error
    except (ArgumentError, TypeError, ValueError) as error:
        message = f"catalog {url.render_as_string(hide_password=True)} cannot be used: {error}"
        raise CatalogError(message, hint="check --database") from error


def reading_mode(path: Path) -> str:
    """How SQLite is to open a file that is only read: ``ro``, or ``rw`` where an interrupted writer left a journal."""
    # A journal beside the file may be what an interrupted upgrade left. Only one who may write can roll it back.
    interrupted = path.with_name(f"{path.name}-journal").exists() and os.access(path, os.W_OK)
    return "rw" if interrupted else "ro"


def read_only_uri(path: Path) -> str:
    """SQLite's own URI of a file that is only read."""
    return f"{_file_uri(path)}?mode={reading_mode(path)}"


def _file_uri(path: Path) -> str:
    return f"file:{quote(os.fsencode(path))}"
