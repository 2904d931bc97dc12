"""`planner catalog diff` and `planner catalog changelog`."""

from __future__ import annotations

import click

from planner.catalog.kinds import kind_named
from planner.cli.command import Command, option
from planner.cli.output import deliver
from planner.cli.registered import catalog_branches
from planner.cli.settings import Settings


@click.command(
    "diff", cls=Command,
    examples=("planner catalog diff 2026-11 2026-11b", "planner catalog diff 2026-11 newest --kind accelerators"),
)  # fmt: skip
@click.argument("old", metavar="A")
@click.argument("new", metavar="B", default="newest")
@option("--kind", metavar="KIND", help="Only this kind of entry.")
def diff(old: str, new: str, kind: str | None) -> int:
    """What was added, changed and removed from A to B: releases (2026-11), revisions (0002), base or newest."""
    from planner.catalog.comparison import difference
    from planner.reports.catalog_changes import difference_report

    wanted = None if kind is None else kind_named(kind)
    return deliver(difference_report(difference(old, new, branches=catalog_branches()), wanted))


@click.command("changelog", cls=Command, examples=("planner catalog changelog",))
def changelog() -> int:
    """The releases of facts, newest first: when, what is new, and whether this catalog has them."""
    from planner.catalog.comparison import changelog as releases
    from planner.reports.listing import listing

    found = releases(Settings.current().database, branches=catalog_branches())
    shown = ("slug", "released_on", "revision", "added", "changed", "removed", "applied", "note")
    items = [release.to_dict() for release in found]
    return deliver(listing("planner.catalog.changelog/1", items, shown, empty="no release"))
