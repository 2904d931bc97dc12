"""`planner catalog history` and `planner catalog sources`."""

from __future__ import annotations

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.opened import opened_catalog
from planner.cli.output import deliver


@click.command(
    "history", cls=Command,
    examples=("planner catalog history accelerators h100", "planner catalog history model llama3-7b"),
)  # fmt: skip
@click.argument("kind")
@click.argument("slug")
@option("--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="At most so many.")
def history(kind: str, slug: str, limit: int) -> int:
    """What is known of an entry over time, newest first: prices, efficiencies, calibrations, releases that changed it."""
    from planner.catalog.kinds import kind_named
    from planner.cli.registered import catalog_branches
    from planner.reports.catalog import history_report

    named = kind_named(kind)
    with opened_catalog() as source, source.snapshot():
        events, found = source.history(named, slug, branches=catalog_branches()), source.resolve(named, slug)
    if len(events) > limit:
        messages.note(f"the newest {limit:,} of {len(events):,} are shown: --limit shows more")
    return deliver(history_report(named, found, events[:limit]))


@click.command(
    "sources", cls=Command, examples=("planner catalog sources", "planner catalog sources karpenter-aws-1d927085")
)
@click.argument("slug", required=False)
@option(
    "--limit", type=click.IntRange(min=1), default=500, show_default=True, metavar="N", help="At most so many facts."
)
def sources(slug: str | None, limit: int) -> int:
    """The documents that facts rest on and how many facts each bears, or the facts that rest on the one called SLUG."""
    from planner.reports.catalog import documents_report, resting_report

    with opened_catalog() as source:
        if slug is None:
            return deliver(documents_report(source.documents()))
        found = source.resting_on(slug, limit + 1)
        if len(found) > limit:
            messages.note(f"the first {limit:,} are shown: --limit shows more")
        return deliver(resting_report(source.resolve("sources", slug), found[:limit]))
