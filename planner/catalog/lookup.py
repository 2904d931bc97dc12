"""Names looked up in the catalog: which entry one means, which are near to one that nothing answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from planner.catalog.engine import shown
from planner.catalog.kinds import TABLES, singular, table_of
from planner.catalog.names import lookup_keys, name_key
from planner.catalog.spelling import clipped
from planner.errors import CatalogError, InputError, UnknownNameError, nearest_names

if TYPE_CHECKING:
    from planner.catalog.database import Database

Row = dict[str, Any]

USER_FIRST: Final = "CASE WHEN layer = 'user' THEN 0 ELSE 1 END"
"""Orders rows of one slug: a user's own shadows a released one."""
_MOST_OWN: Final = 500
"""Names of the user's own of each kind that suggestions are taken from."""


def names(database: Database, kind: str) -> tuple[str, ...]:
    """All slugs of a kind, in order."""
    table_of(kind)
    rows = database.select("SELECT DISTINCT slug FROM alias WHERE kind = :kind", kind=kind)
    return tuple(sorted(row["slug"] for row in rows))


def find(database: Database, kind: str, name: str) -> str | None:
    """The slug that `name` means, whatever its case and punctuation; None where nothing answers to it."""
    table_of(kind)
    query = f"SELECT slug FROM alias WHERE kind = :kind AND key = :key ORDER BY {USER_FIRST} LIMIT 1"
    for key in lookup_keys(name):
        if rows := database.select(query, kind=kind, key=key):
            return str(rows[0]["slug"])
    return None


def resolve(database: Database, kind: str, name: str) -> str:
    """The slug that `name` means. Raises UnknownNameError with the nearest names, InputError for an entry that waits."""
    slug = find(database, kind, name)
    if slug is not None:
        return slug
    if waits := _waiting(database, kind, name):
        raise InputError(
            f"your {singular(kind)} {clipped(waits)} waits for a table or a rule that allows it",
            hint="planner db parked shows it; import it again to use it",
        )
    if not database.select("SELECT 1 FROM alias WHERE kind = :kind LIMIT 1", kind=kind):
        raise database.older() or CatalogError(
            f"catalog {shown(database.url)} holds no {kind}", hint="name another with --database"
        )
    near = near_names(database, kind, name)
    raise UnknownNameError(singular(kind), name, near, listing=f"planner catalog list {kind} shows them")


def _waiting(database: Database, kind: str, name: str) -> str | None:
    """The slug of the entry that `name` means among those of the user's that wait."""
    from planner.catalog.parked import waiting_tables

    for table in waiting_tables(database.tables(), "alias"):
        for key in lookup_keys(name):
            query = f'SELECT slug FROM "{table}" WHERE kind = :kind AND key = :key'
            if rows := database.select(query, kind=kind, key=key):
                return str(rows[0]["slug"])
    return None


def row_of(database: Database, kind: str, slug: str) -> Row:
    """The row of a slug that counts. Raises UnknownNameError, and InputError where only the name is left."""
    query = f"SELECT * FROM {table_of(kind)} WHERE slug = :slug ORDER BY {USER_FIRST} LIMIT 1"
    if rows := database.select(query, slug=slug):
        return rows[0]
    if find(database, kind, slug) == slug:
        raise InputError(
            f"the {singular(kind)} {clipped(slug)} is gone, and only its name is left",
            hint=f"planner catalog remove {kind} {slug} takes the name away; planner db check shows all such names",
        )
    raise UnknownNameError(
        singular(kind), slug, names(database, kind), listing=f"planner catalog list {kind} shows them"
    )


def aliases(database: Database, kind: str, slug: str) -> tuple[str, ...]:
    """Every name of an entry, its slug among them, in order."""
    query = "SELECT alias FROM alias WHERE kind = :kind AND slug = :slug"
    return tuple(sorted(row["alias"] for row in database.select(query, kind=kind, slug=slug)))


def accelerator_names(database: Database, beginning: str) -> dict[str, str]:
    """The slug of every accelerator's name whose key begins so, by that name."""
    query = (
        f"SELECT alias, slug FROM alias WHERE kind = 'accelerators' AND {between(database)} "
        f"ORDER BY key{database.bytewise} LIMIT 1000"
    )
    key = name_key(beginning)
    return {row["alias"]: row["slug"] for row in database.select(query, first=key, after=f"{key}\uffff")}


def near_names(database: Database, kind: str | None, name: str, limit: int = 3) -> tuple[str, ...]:
    """The names that look most like `name`, one for each entry: of all that are released, and of the user's that begin alike."""
    owners: dict[str, str] = {}
    condition, values = ("kind = :kind AND ", {"kind": kind}) if kind is not None else ("", {})
    # Slugs come last: where an alias is spelled as the slug is but for case, the slug is what a suggestion shows.
    shared = f"SELECT alias, slug FROM alias WHERE {condition}layer <> 'user' ORDER BY role, alias"
    owners |= {row["alias"]: row["slug"] for row in database.select(shared, **values)}
    key = name_key(name)
    for each in [kind] if kind is not None else TABLES:
        for length in (3, 1):
            own = database.select(
                f"SELECT alias, slug FROM alias WHERE kind = :each AND {between(database)} AND layer = 'user' LIMIT :most",
                each=each, first=key[:length], after=f"{key[:length]}\uffff", most=_MOST_OWN,
            )  # fmt: skip
            owners |= {row["alias"]: row["slug"] for row in own}
    near: dict[str, str] = {}
    for known in nearest_names(name, owners, limit=4 * limit):
        near.setdefault(owners[known], known)
    return tuple(near.values())[:limit]


def between(database: Database) -> str:
    """That a key begins with something: in the order of bytes, whatever language a server sorts by."""
    return f"key{database.bytewise} >= :first AND key{database.bytewise} < :after"
