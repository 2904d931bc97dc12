"""What releases of facts brought, and what differs between two of them, whatever the user's own database is at.

The revisions themselves are asked: they run on a scratch database, so a plugin's releases are compared like the core's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.changes import Row, TableChanges, changes
from planner.catalog.engine import plain_errors, reading_engine
from planner.catalog.location import core_revisions, database_url
from planner.catalog.release_lists import moved_by
from planner.catalog.tables import VENDOR_LAYER
from planner.catalog.upgrade import Branches, downgrade, history, revisions, upgrade
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from sqlalchemy import Connection

BASE: Final = "base"
NEWEST: Final = "newest"
_BOOK_KEEPING: Final = ("alembic_version", "catalog_state", "release")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEntry:
    """A release: its name, layer, revision and day, what it says is new, how many rows it moved, where it is applied.

    The counts are None where that is not known: of a plugin's release that the planner's tool did not write.
    """

    slug: str
    layer: str
    revision: str
    released_on: str
    note: str
    added: int | None
    changed: int | None
    removed: int | None
    applied: bool

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What leads from the facts at revision `old` to those at `new`, in one layer; the names are those asked for."""

    old: str
    new: str
    old_name: str
    new_name: str
    layer: str
    tables: tuple[TableChanges, ...]


def difference(old: str, new: str, *, branches: Branches | None = None) -> Difference:
    """What was added, changed and removed between two releases or revisions, each by its name or id.

    ``base`` is the empty catalog, ``newest`` the newest revision of the planner's own. Raises UnknownNameError for
    anything else that is neither, and InputError where the two are not of one branch.
    """
    known = branches or {}
    with _scratch(known) as url:
        layer, first, second = _ends(old, new, _meanings(url, known))
        states = _states(url, layer, first, second, known)
    keys = {table: _key(table) for state in states for table in state}
    tables = changes(*states, keys)
    return Difference(old=first, new=second, old_name=old, new_name=new, layer=layer, tables=tables)


def changelog(url: str | None = None, *, branches: Branches | None = None) -> tuple[ReleaseEntry, ...]:
    """Every release that the program and its plugins know, newest first, and whether the database at `url` has it."""
    known = branches or {}
    applied = {step.revision for step in history(url, branches=known) if step.applied}
    with _scratch(known) as scratch, _reading(scratch) as connection:
        rows = connection.exec_driver_sql("SELECT * FROM release ORDER BY revision DESC").mappings().all()
        sizes = {row["layer"]: sum(len(each) for _, each in _facts(connection, row["layer"])) for row in rows}
    counted = {(row["slug"], row["layer"]): _counts(dict(row), known) for row in rows}
    first = {row["layer"]: row["slug"] for row in rows}
    for layer, slug in first.items():
        # The first release has no list of changes: what is there and came with no later one is its own.
        later = [counts for (name, own), counts in counted.items() if own == layer and name != slug]
        if counted[slug, layer] is None and all(later):
            came = sum(counts["added"] - counts["removed"] for counts in later if counts)
            counted[slug, layer] = {"added": sizes[layer] - came, "changed": 0, "removed": 0}
    return tuple(_entry(dict(row), counted[row["slug"], row["layer"]], row["revision"] in applied) for row in rows)


def _entry(row: Mapping[str, str], counts: Mapping[str, int] | None, applied: bool) -> ReleaseEntry:
    return ReleaseEntry(
        slug=row["slug"],
        layer=row["layer"],
        revision=row["revision"],
        released_on=row["released_on"],
        note=row["note"],
        added=None if counts is None else counts["added"],
        changed=None if counts is None else counts["changed"],
        removed=None if counts is None else counts["removed"],
        applied=applied,
    )


def _counts(release: Mapping[str, Any], branches: Branches) -> dict[str, int] | None:
    """How many rows the list of changes of a release moves; None where it has none."""
    tables = moved_by(release, branches)
    if tables is None:
        return None
    return {
        part: sum(1 for each in tables if each["table"] != "release" for row in each[part] if not _repeats(row))
        for part in ("added", "changed", "removed")
    }


def _repeats(row: Mapping[str, Any]) -> bool:
    """Whether a row only says again that an entry is there: its slug among the aliases."""
    return row.get("role") == "slug" and "alias" in row


def _meanings(url: str, branches: Branches) -> dict[str, tuple[str, str]]:
    """The revision and layer that each name means."""
    core = core_revisions()
    found = {BASE: (BASE, VENDOR_LAYER), NEWEST: (core[-1], VENDOR_LAYER), "head": (core[-1], VENDOR_LAYER)}
    found |= {revision: (revision, VENDOR_LAYER) for revision in core}
    found |= {step.revision: (step.revision, step.branch) for step in revisions(branches) if step.branch in branches}
    with _reading(url) as connection:
        for slug, layer, revision in connection.exec_driver_sql("SELECT slug, layer, revision FROM release"):
            found[slug] = (revision, layer)
    return found


def _ends(old: str, new: str, meanings: Mapping[str, tuple[str, str]]) -> tuple[str, str, str]:
    for name in (old, new):
        if name not in meanings:
            raise UnknownNameError(
                "release or revision", name, meanings, listing="planner catalog changelog shows them"
            )
    (first, layer), (second, other) = meanings[old], meanings[new]
    if BASE in (first, second):
        layer = other = other if first == BASE else layer
    if layer != other:
        raise InputError(f"{old} and {new} are not of one branch", hint="planner db history shows the branches")
    return layer, first, second


def _states(
    url: str, layer: str, first: str, second: str, branches: Branches
) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """The facts at both revisions, read on the way down."""
    found: dict[str, dict[str, list[Row]]] = {BASE: {}}
    newest_first = (step.revision for step in revisions(branches))
    for revision in (revision for revision in newest_first if revision in (first, second)):
        downgrade(url, revision, branches=branches)
        with _reading(url) as connection:
            found[revision] = dict(_facts(connection, layer))
    return found[first], found[second]


def _facts(connection: Connection, layer: str) -> Iterator[tuple[str, list[Row]]]:
    from sqlalchemy import inspect

    inspector = inspect(connection)
    for table in inspector.get_table_names():
        columns = [each["name"] for each in inspector.get_columns(table)]
        if table in _BOOK_KEEPING or "layer" not in columns:
            continue
        own = f'SELECT * FROM "{table}" WHERE layer = ?'
        rows = [_shown(dict(row)) for row in connection.exec_driver_sql(own, (layer,)).mappings()]
        yield table, [row for row in rows if not _repeats(row)]


def _shown(row: Mapping[str, Any]) -> Row:
    """Without the layer, which is the same for all, and without the layers of references."""
    hidden = {"layer", *(f"{name}_layer" for name in row)}
    return {name: value for name, value in row.items() if name not in hidden}


def _key(table: str) -> tuple[str, ...]:
    from planner.catalog.tables import Base

    known = Base.metadata.tables.get(table)
    keys = ("slug",) if known is None else tuple(column.name for column in known.primary_key)
    return tuple(name for name in keys if name != "layer")


@contextmanager
def _scratch(branches: Branches) -> Iterator[str]:
    """The URL of a database at the newest revisions that is gone afterwards."""
    with TemporaryDirectory(prefix="planner-") as folder:
        url = database_url(str(Path(folder) / "catalog.db"))
        upgrade(url, branches=branches)
        yield url


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    engine = reading_engine(url)
    with plain_errors(url), engine.connect() as connection:
        yield connection
    engine.dispose()
