"""`planner db`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.lazy import Lazy, LazyGroup
from planner.cli.output import deliver
from planner.cli.registered import catalog_branches
from planner.cli.settings import Settings


@click.group(
    cls=LazyGroup,
    lazy={
        "upgrade": Lazy("planner.cli.db:upgrade", "Bring the catalog to the newest revision, or to REVISION."),
        "downgrade": Lazy("planner.cli.db:downgrade", "Take the catalog back to REVISION."),
        "current": Lazy("planner.cli.db:current", "The revisions that the catalog is at."),
        "parked": Lazy("planner.cli.db:parked", "Rows of your own that the catalog has no place for."),
        "history": Lazy("planner.cli.db:history", "All revisions, newest first, and whether the catalog has them."),
        "check": Lazy("planner.cli.db_upkeep:check", "Whether the catalog is what its revisions made it."),
        "backup": Lazy("planner.cli.db_upkeep:backup", "Write a copy of the catalog to FILE."),
        "restore": Lazy("planner.cli.db_upkeep:restore", "Make the catalog what the backup FILE holds."),
        "prune": Lazy("planner.cli.db_upkeep:prune", "Remove the facts of plugins that are not installed."),
    },
    examples=("planner db current", "planner db upgrade", "planner db downgrade -1", "planner db check"),
)
def db() -> None:
    """The catalog's database: its revisions, forth and back; checks and copies."""


@click.command("upgrade", cls=Command, examples=("planner db upgrade", "planner db upgrade 0001"))
@click.argument("revision", default="heads")
def upgrade(revision: str) -> int:
    """Bring the catalog to the newest revision, or to REVISION. All of it or nothing."""
    from planner.catalog import upgrade as revisions

    branches = catalog_branches()
    revisions.upgrade(Settings.current().database, revision, branches=branches)
    return _show_current(branches)


@click.command(
    "downgrade", cls=Command, examples=("planner db downgrade -1", "planner db downgrade 0001"),
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},  # -1 is a revision
)  # fmt: skip
@click.argument("revision")
def downgrade(revision: str) -> int:
    """Take the catalog back to REVISION; -1 means one revision back. What you wrote stays, or waits for an upgrade."""
    from planner.catalog import upgrade as revisions

    branches = catalog_branches()
    revisions.downgrade(Settings.current().database, revision, branches=branches)
    return _show_current(branches)


@click.command("current", cls=Command, examples=("planner db current",))
def current() -> int:
    """The revisions that the catalog is at: one for the planner, one for each plugin with facts of its own."""
    return _show_current(catalog_branches())


@click.command("history", cls=Command, examples=("planner db history",))
def history() -> int:
    """All revisions, newest first, and whether the catalog has them."""
    from planner.catalog import upgrade as revisions
    from planner.reports.listing import listing

    branches = catalog_branches()
    found = revisions.history(Settings.current().database, branches=branches)
    _note_orphans(revisions.current(Settings.current().database), branches)
    shown = ("revision", "branch", "message", "applied", "current")
    items = [revision.to_dict() for revision in found]
    return deliver(listing("planner.db.history/1", items, shown, empty="no revisions"))


@click.command("parked", cls=Command, examples=("planner db parked", "planner db parked -f json"))
@option("--discard", is_flag=True, help="Remove them for good.")
def parked(discard: bool) -> int:
    """Rows of your own that a downgrade left without a table, or that a rule refused; an upgrade puts them back."""
    from planner.catalog import parked as rows
    from planner.reports.listing import listing

    database = Settings.current().database
    found = rows.discard(database) if discard else rows.waiting(database)
    items = [row.to_dict() for row in found]
    return deliver(listing("planner.db.parked/1", items, ("table", "slug", "why"), empty="no row waits"))


def _show_current(branches: Mapping[str, Path]) -> int:
    from planner.catalog import upgrade as revisions
    from planner.reports.listing import listing

    found = revisions.current(Settings.current().database)
    _note_orphans(found, branches)
    _note_parked()
    items = [{"revision": revision} for revision in found]
    return deliver(listing("planner.db.current/1", items, ("revision",), empty="no catalog yet: planner db upgrade"))


def _note_parked() -> None:
    from planner.catalog.parked import waiting

    found = waiting(Settings.current().database)
    if found:
        rows = "row of yours waits" if len(found) == 1 else "rows of yours wait"
        messages.note(f"{len(found)} {rows} for a table or a rule that allows them: planner db parked shows them")


def _note_orphans(heads: Iterable[str], branches: Mapping[str, Path]) -> None:
    from planner.catalog.upgrade import orphans

    for head in orphans(heads, branches):
        messages.note(f"the plugin that brought {head} is not installed: its facts stay as they are")
