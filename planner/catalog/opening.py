"""Opening a catalog: it is made on first use, and upgraded where the program or a plugin has revisions that it never had."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from planner.catalog.database import Database
from planner.catalog.engine import shown, upgradable
from planner.catalog.location import database_url, may_be_there
from planner.errors import CatalogWarning

if TYPE_CHECKING:
    from pathlib import Path

    Branches = Mapping[str, Path]


def opened(url: str | None, branches: Branches | None) -> Database:
    """The database of the catalog, up to date. `branches` are the catalog branches of plugins.

    Raises CatalogError where it is newer than the program, locked, read-only, corrupt or unreachable.
    """
    wanted = database_url(url)
    new = None
    if may_be_there(wanted):
        database = Database.connect(wanted)
        try:
            new = _new_branches(database, branches)
            if new == () or (not upgradable(wanted) and _readable_as_it_is(database, branches, new)):
                return database
        except BaseException:
            database.close()
            raise
        database.close()
    from planner.catalog.upgrade import upgrade, upgrade_branches

    if new is None:
        upgrade(wanted, branches=branches)
    else:
        upgrade_branches(wanted, new, branches=branches)
    return Database.connect(wanted)


def _new_branches(database: Database, branches: Branches | None) -> tuple[str, ...] | None:
    """The branches that have revisions which the database was never told of; None where there is no catalog yet.

    A revision that it was told of and is not at was taken back by choice.
    """
    from planner.catalog.upgrade import new_branches, refuse_newer

    with database.snapshot():
        tables = database.tables()
        if "alembic_version" not in tables:
            return None
        heads = database.heads()
        refuse_newer(database.url, heads)
        if "catalog_state" not in tables:
            return None
        state = database.select("SELECT known_revisions FROM catalog_state")
    return new_branches(state[0]["known_revisions"] if state else "", heads, branches)


def _readable_as_it_is(database: Database, branches: Branches | None, new: tuple[str, ...] | None) -> bool:
    """Whether one who may not upgrade can read: then only what plugins bring may be missing, and a warning names it.

    Raises CatalogError for a database that is older than the program.
    """
    from planner.catalog.upgrade import CORE

    if (new is None or CORE in new) and (older := database.older()):
        raise older
    if new is None:
        return False
    heads = database.heads()
    absent = [label for label in branches or {} if not any(head.startswith(f"{label}_") for head in heads)]
    if absent:
        message = f"catalog {shown(database.url)} lacks the facts of {', '.join(absent)}, and you may not upgrade it"
        warnings.warn(
            f"{message}: ask its owner to install the plugin and run planner db upgrade", CatalogWarning, stacklevel=3
        )
    return True
