"""`planner catalog list`."""

from __future__ import annotations

from typing import Any, Final

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.hardware_options import CHOOSE, hardware_options, known_formats
from planner.cli.opened import opened_catalog
from planner.cli.output import deliver

SHOW: Final = "How many, in which order"


@click.command(
    "list", cls=Command,
    examples=(
        "planner catalog list models",
        "planner catalog list accelerators --vendor amd --min-mem 128GB --format fp8 --sort -memory_bandwidth",
        "planner catalog list clusters --layer user -f csv",
    ),
)  # fmt: skip
@click.argument("kind")
@hardware_options
@option("--accelerator", metavar="GPU", section=CHOOSE, help="Nodes, clusters and prices of this accelerator.")
@option("--provider", metavar="NAME", section=CHOOSE, help="Nodes and prices of this provider.")
@option("--family", metavar="NAME", section=CHOOSE, help="Models of this family.")
@option(
    "--layer",
    metavar="LAYER",
    section=CHOOSE,
    help="user (your own), vendor (released), a plugin's label, or all; default: what counts of all of them.",
)
@option("--sort", metavar="COLUMN", section=SHOW, help="By this column; -COLUMN from the highest.")
@option(
    "--limit",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    metavar="N",
    section=SHOW,
    help="At most so many; 0: all.",
)
@option(
    "--offset",
    type=click.IntRange(min=0, max=2**31),
    default=0,
    metavar="N",
    section=SHOW,
    help="Leave out the first N.",
)
def list_kind(kind: str, output_format: tuple[str, ...], **filters: Any) -> int:  # noqa: ANN401 - the options
    """The entries of a KIND: models, accelerators, nodes, clusters, prices, links, vendors, sources, carbon, pue and others."""
    from planner.catalog.browse import Filters
    from planner.catalog.kinds import kind_named
    from planner.reports.catalog import kind_report

    named = kind_named(kind)
    with opened_catalog() as source, source.snapshot():
        filters["formats"] += known_formats(source, output_format)
        page = source.page(named, Filters(**filters))
    if page.more:
        shown = f"{filters['offset'] + 1:,} to {filters['offset'] + len(page.rows):,} are shown"
        more = f"{'' if page.counted else 'more than '}{page.more:,} more"
        messages.note(f"{shown}, there are {more}: --limit, --offset or a filter shows others")
    chosen = any(value for name, value in filters.items() if name not in ("limit", "sort"))
    return deliver(kind_report(named, page.rows, more=page.more, chosen=chosen))
