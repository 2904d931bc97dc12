"""`planner db check`, `backup`, `restore` and `prune`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.output import deliver
from planner.cli.registered import catalog_branches, registry
from planner.cli.settings import Settings
from planner.errors import EXIT_BAD_INPUT, InputError

FILE = click.Path(path_type=Path)


@click.command(
    "check", cls=Command,
    examples=("planner db check", "planner db check --format json", "planner db check --acknowledge"),
)  # fmt: skip
@option("--acknowledge", is_flag=True, help="Settle the conflicts between your rows and changed facts: yours stay.")
def check(acknowledge: bool) -> int:
    """Whether the catalog is what its revisions made it; exit status 2 if not.

    Looks at the file, the revision, the tables and their constraints, references, every released fact, rows of plugins that
    are gone, the user's rows that speak of what is gone, and names that two plugins share. Changes no
    fact and no row of the user's.
    """
    from planner.catalog import integrity, overrides
    from planner.catalog.location import database_url
    from planner.reports.upkeep import check_report

    if acknowledge:
        integrity.existing(database_url(Settings.current().database))
        for settled in overrides.acknowledge(Settings.current().database):
            messages.note(f"settled, and yours still counts: {settled}")
    found = integrity.check(Settings.current().database, branches=catalog_branches())
    status = deliver(check_report(found.to_dict()))
    return status if found.sound else EXIT_BAD_INPUT


@click.command("backup", cls=Command, examples=("planner db backup catalog-2026-11-24.db",))
@click.argument("file", type=FILE)
def backup(file: Path) -> int:
    """Write a copy of the catalog to FILE, while others use it.

    FILE is an SQLite catalog itself: --database can name it. Of a server it holds the facts of the installed revisions and
    the user's layer.
    """
    from planner.catalog import backup as copies
    from planner.reports.upkeep import copy_report

    copied = copies.backup(Settings.current().database, file, branches=catalog_branches())
    return deliver(copy_report("backup", copied.to_dict()))


@click.command("restore", cls=Command, examples=("planner db restore catalog-2026-11-24.db --yes",))
@click.argument("file", type=FILE)
@option("--yes", is_flag=True, help="Replace the catalog that is there.")
def restore(file: Path, yes: bool) -> int:
    """Make the catalog what the backup FILE holds.

    A catalog in a file becomes FILE as it is. On a server the user's layer becomes that of FILE, and the facts those of the
    newest revisions.
    """
    from planner.catalog import backup as copies
    from planner.reports.upkeep import copy_report

    copied = copies.restore(Settings.current().database, file, replace=yes, branches=catalog_branches())
    return deliver(copy_report("restore", copied.to_dict()))


@click.command(
    "prune", cls=Command, examples=("planner db prune --dry-run", "planner db prune", "planner db prune acme")
)
@click.argument("branch", nargs=-1)
@option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def prune(branch: tuple[str, ...], dry_run: bool) -> int:
    """Remove the facts of plugins that are not installed: of all, or of each BRANCH. Rows of the user's own stay."""
    from planner.catalog import prune as removal
    from planner.registry import DISABLE_VARIABLE
    from planner.reports.upkeep import prune_report

    loaded = registry()
    left_out = sorted({problem.name for problem in loaded.problems if problem.stage != "disable"})
    if os.environ.get(DISABLE_VARIABLE, "").strip():
        left_out.append(f"those that {DISABLE_VARIABLE} names")
    if left_out and not branch:
        message = f"plugins are installed but left out ({', '.join(left_out)}): what looks orphaned may be theirs"
        raise InputError(message, hint="name the branches to remove; planner db check lists them")
    found = removal.prune(
        Settings.current().database, branch, branches=loaded.branch_directories, dry_run=dry_run
    )  # fmt: skip
    for finding in found.left:
        messages.note(f"{finding.message}: {finding.rows} in {finding.table} ({', '.join(finding.examples)})")
    return deliver(prune_report([each.to_dict() for each in found.removed], dry_run=dry_run))
