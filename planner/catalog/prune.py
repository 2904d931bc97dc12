"""Takes out what plugins left behind that are not installed any more: `planner db prune`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planner.catalog.engine import plain_errors, shown, writing_engine
from planner.catalog.findings import Finding
from planner.catalog.integrity import existing
from planner.catalog.location import database_url
from planner.errors import CatalogError, UnknownNameError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from planner.catalog.upgrade import Branches


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How many rows of a branch went from a table."""

    branch: str
    table: str
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"branch": self.branch, "table": self.table, "rows": self.rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was, or would be, removed; and which of the user's rows speak of what is gone then."""

    removed: tuple[Removed, ...]
    left: tuple[Finding, ...]


def prune(
    url: str | None = None, only: Sequence[str] = (), *, branches: Branches | None = None, dry_run: bool = False
) -> Pruned:
    """Remove the rows, tables and revisions of branches that no plugin in `branches` brings; never the user's rows.

    A branch's tables are those whose names begin with its label and an underscore. `only` names the branches meant.
    All or nothing. Raises UnknownNameError for a branch that left nothing, CatalogError where rows of another plugin refer
    to what would go.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    from planner.catalog import layers
    from planner.catalog.upgrade import forget_branches, lock, refuse_newer

    wanted, branches = database_url(url), branches or {}
    refuse_newer(wanted, existing(wanted))
    engine = writing_engine(wanted)
    with plain_errors(wanted), engine.connect() as connection, connection.begin() as transaction:
        lock(connection)
        before = set(layers.user_rows(connection))
        left = _left_behind(connection, branches)
        for label in only:
            if label not in left:
                raise UnknownNameError("orphaned branch", label, left, listing="planner db check lists them")
        chosen = {label: heads for label, heads in left.items() if not only or label in only}
        try:
            removed = [each for label in chosen for each in _remove(connection, label, (*left, *branches))]
            for head in (head for heads in chosen.values() for head in heads):
                connection.execute(text("DELETE FROM alembic_version WHERE version_num = :head"), {"head": head})
        except IntegrityError as error:
            raise CatalogError(
                f"catalog {shown(wanted)}: rows of another plugin refer to what {', '.join(chosen)} brought",
                hint="remove that plugin's rows first; nothing was changed",
            ) from error
        forget_branches(connection, chosen)
        after = tuple(finding for finding in layers.user_rows(connection) if finding not in before)
        if dry_run:
            transaction.rollback()
    return Pruned(removed=tuple(removed), left=after)


def _left_behind(connection: Connection, branches: Branches) -> dict[str, tuple[str, ...]]:
    """The labels of branches whose plugin is gone, with the revisions that they are at."""
    from planner.catalog.layers import orphaned_layers
    from planner.catalog.upgrade import orphans, stored_heads

    heads = orphans(stored_heads(connection), branches)
    labels = set(orphaned_layers(connection, branches))
    # A branch with tables of its own alone has no row that names it: its ids are the label and what follows the last "_".
    labels |= {head.rpartition("_")[0] for head in heads if not _owner(head, labels)}
    return {label: tuple(head for head in heads if _owner(head, labels) == label) for label in sorted(labels)}


def _owner(name: str, labels: Iterable[str]) -> str:
    """The label that a revision or a table begins with: the longest, since one may begin another."""
    return max((label for label in labels if name.startswith(f"{label}_")), key=len, default="")


def _remove(connection: Connection, label: str, owners: Iterable[str]) -> list[Removed]:
    from sqlalchemy import MetaData, delete, inspect

    from planner.catalog.layers import present
    from planner.catalog.tables import Base

    removed = []
    # The branch's own tables first: they may refer to its rows in those of the catalog.
    strange = (name for name in inspect(connection).get_table_names() if name not in Base.metadata.tables)
    own = [name for name in strange if _owner(name, (label, *owners)) == label]
    if own:
        for name in own:
            count = connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()
            removed.append(Removed(branch=label, table=name, rows=count))
        tables = MetaData()
        tables.reflect(connection, only=own, resolve_fks=False)
        tables.drop_all(connection)
    for table in reversed(present(connection)):
        count = connection.execute(delete(table).where(table.c.layer == label)).rowcount
        if count:
            removed.append(Removed(branch=label, table=table.name, rows=count))
    return removed
