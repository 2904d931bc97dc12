"""Whether a catalog on a server has the tables and rules that the program reads; on PostgreSQL word for word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.definitions import compared, compared_views
from planner.catalog.findings import ERROR, WARNING, Finding

if TYPE_CHECKING:
    from sqlalchemy import Connection

_RULES: Final = """
    SELECT owner.relname, rule.conname, pg_get_constraintdef(rule.oid)
    FROM pg_constraint rule JOIN pg_class owner ON owner.oid = rule.conrelid
    WHERE owner.relnamespace = {schema} AND rule.contype IN ('c', 'f', 'p', 'u', 'x')
"""
_INDICES: Final = """
    SELECT owner.relname, own.relname, regexp_replace(pg_get_indexdef(own.oid), ' ON .*? USING ', ' USING ')
    FROM pg_index part JOIN pg_class own ON own.oid = part.indexrelid JOIN pg_class owner ON owner.oid = part.indrelid
    WHERE owner.relnamespace = {schema}
"""
_TRIGGERS: Final = """
    SELECT owner.relname, tgname, '' FROM pg_trigger JOIN pg_class owner ON owner.oid = tgrelid
    WHERE owner.relnamespace = {schema} AND NOT tgisinternal
    UNION ALL
    SELECT owner.relname, rulename, '' FROM pg_rewrite JOIN pg_class owner ON owner.oid = ev_class
    WHERE owner.relnamespace = {schema} AND owner.relkind IN ('r', 'p')
"""
_SWITCHED_OFF: Final = """
    SELECT DISTINCT owner.relname, rule.conname, '' FROM pg_trigger JOIN pg_constraint rule ON rule.oid = tgconstraint
    JOIN pg_class owner ON owner.oid = tgrelid
    WHERE owner.relnamespace = {schema} AND tgisinternal AND tgenabled = 'D'
"""
_VIEWS: Final = "SELECT '', relname, '' FROM pg_class WHERE relnamespace = {schema} AND relkind IN ('v', 'm')"
_OURS: Final = "current_schema()::regnamespace"
_TEMPORARY: Final = "pg_my_temp_schema()"


def differences(connection: Connection, expected: Connection, *, newest: bool) -> Iterator[Finding]:
    """Where the tables differ from those that the program reads; of an older revision than the `newest` it has no picture.

    Triggers and views are those of `expected`, a file that the same revisions made.
    """
    postgresql = connection.dialect.name == "postgresql"
    if newest:
        yield from _models(connection)
        yield from _rules(connection) if postgresql else _names_of_rules(connection)
    if postgresql:
        yield from _triggers_and_views(connection, expected)


def _models(connection: Connection) -> Iterator[Finding]:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from planner.catalog.tables import Base

    ours = Base.metadata.tables
    context = MigrationContext.configure(
        connection,
        # Tables of a plugin's own are the plugin's business.
        opts={"include_name": lambda name, kind, _: kind != "table" or name in ours},
    )
    for difference in _flat(compare_metadata(context, Base.metadata)):
        yield Finding(check="schema", severity=ERROR, message=_described(difference))


def _flat(differences: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for difference in differences:
        if isinstance(difference, list):
            yield from _flat(difference)
        else:
            yield difference


def _described(difference: tuple[Any, ...]) -> str:
    """One of Alembic's differences in words: what would have to be done to get the table that the program reads."""
    what = str(difference[0]).replace("_", " ")
    names = [part if isinstance(part, str) else getattr(part, "name", None) for part in difference[1:]]
    return f"{what} {' '.join(str(name) for name in names if name)}"


def _names_of_rules(connection: Connection) -> Iterator[Finding]:
    from sqlalchemy import CheckConstraint, inspect

    from planner.catalog.tables import Base

    inspector = inspect(connection)
    for name, table in Base.metadata.tables.items():
        if inspector.has_table(name):
            wanted = {str(each.name): "" for each in table.constraints if isinstance(each, CheckConstraint)}
            found = {str(each["name"]): "" for each in inspector.get_check_constraints(name)}
            yield from compared(name, "constraints", found, wanted)


def _rules(connection: Connection) -> Iterator[Finding]:
    """A server writes a condition down in its own words, so it is asked to do so with ours too."""
    from sqlalchemy.exc import DBAPIError

    try:
        wanted = {query: _wanted(connection, query) for query in (_RULES, _INDICES)}
    except DBAPIError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        message = f"constraints are compared by name alone: no temporary table can be made ({reason})"
        yield Finding(check="schema", severity=WARNING, message=message)
        yield from _names_of_rules(connection)
        return
    for query, what in ((_RULES, "constraints"), (_INDICES, "indices")):
        found = _asked(connection, query, _OURS)
        for table, definitions in wanted[query].items():
            if table in found:
                # Of indices Alembic says what is missing and what is too much.
                both = {name: text for name, text in definitions.items() if query == _RULES or name in found[table]}
                yield from compared(table, what, found[table], both, extra=query == _RULES)


def _wanted(connection: Connection, query: str) -> dict[str, dict[str, str]]:
    """What `query` finds where the program has just made its tables, as temporary ones."""
    from planner.catalog.tables import Base

    with connection.engine.connect() as other:
        other.exec_driver_sql("BEGIN READ WRITE")
        try:
            Base.metadata.create_all(other.execution_options(schema_translate_map={None: "pg_temp"}), checkfirst=False)
            return _asked(other, query, _TEMPORARY)
        finally:
            other.exec_driver_sql("ROLLBACK")


def _triggers_and_views(connection: Connection, expected: Connection) -> Iterator[Finding]:
    from planner.catalog.tables import Base

    made = list(expected.exec_driver_sql("SELECT type, tbl_name, name FROM sqlite_master"))
    triggers, off = _asked(connection, _TRIGGERS, _OURS), _asked(connection, _SWITCHED_OFF, _OURS)
    for table in Base.metadata.tables:
        wanted = {str(name): "" for kind, owner, name in made if (kind, owner) == ("trigger", table)}
        yield from compared(table, "triggers", triggers.get(table, {}), wanted)
        if table in off:
            yield Finding(
                check="schema", severity=ERROR, table=table, rows=len(off[table]),
                message="references are not checked", examples=tuple(sorted(off[table])),
            )  # fmt: skip
    wanted = {str(name): "" for kind, _, name in made if kind == "view"}
    yield from compared_views(_asked(connection, _VIEWS, _OURS).get("", {}), wanted)


def _asked(connection: Connection, query: str, schema: str) -> dict[str, dict[str, str]]:
    """Definitions by name, by table."""
    found: dict[str, dict[str, str]] = {}
    for table, name, text in connection.exec_driver_sql(query.format(schema=schema)):
        found.setdefault(table, {})[name] = text
    return found
