"""Two revisions, of two plugins or of one and the planner, that bring an entry of one name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from planner.errors import CatalogError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.exc import IntegrityError

_NAME_CLASH: Final = re.compile(r"uq_alias_kind_key_shared|alias\.kind, alias\.key|ix_\w+_slug|\w+\.slug")
_DETAIL: Final = re.compile(r"Key \([^)]*\)=\(([^)]*)\) already exists")


def name_taken(connection: Connection, error: IntegrityError) -> CatalogError | None:
    """What to say where a revision brings an entry of a name that another one has; None for another violation."""
    told = f"{error.orig} {getattr(getattr(error.orig, 'diag', None), 'constraint_name', '')}"
    clash = _NAME_CLASH.search(told)
    if clash is None:
        return None
    names = _brought_twice(connection, error) if connection.dialect.name == "sqlite" else _DETAIL.findall(told)
    told = f": {'; '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else ""
    return CatalogError(
        f"a revision brings a name that another plugin or the planner has already{told}",
        hint="uninstall one of the two; planner plugins list shows which there are; nothing was changed",
    )


def _brought_twice(connection: Connection, error: IntegrityError) -> list[str]:
    """The names that a failed insertion would have brought and that are there, where the statement tells."""
    insertion = re.match(r'INSERT INTO "?(\w+)"? \(([^)]*)\)', str(error.statement))
    if insertion is None:
        return []
    table, columns = insertion[1], [name.strip(' "') for name in insertion[2].split(",")]
    keys = ("kind", "key") if table == "alias" else ("slug",)
    given = error.params if isinstance(error.params, list) else [error.params]
    brought = [row if isinstance(row, Mapping) else dict(zip(columns, row or (), strict=False)) for row in given]
    shared = connection.exec_driver_sql(f"SELECT {', '.join(keys)}, layer FROM \"{table}\" WHERE layer <> 'user'")
    owners = {tuple(row[:-1]): str(row[-1]) for row in shared}
    names = (tuple(row.get(key) for key in keys) for row in brought)
    return [f"{', '.join(map(str, name))} of {owners[name]}" for name in names if name in owners]
