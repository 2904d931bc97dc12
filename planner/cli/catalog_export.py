"""`planner catalog export`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.output import deliver_pieces
from planner.cli.settings import Settings


@click.command(
    "export", cls=Command,
    examples=(
        "planner catalog export all -o mine.yaml",
        "planner catalog export accelerators h100-sxm5-80gb -f json",
        "planner catalog export prices --layer all -f csv",
    ),
)  # fmt: skip
@click.argument("kind")
@click.argument("slug", required=False)
@option("--layer", metavar="LAYER", default="user", show_default=True,
        help="user (your own), vendor (released), a plugin's label, or all: what counts.")  # fmt: skip
def export(kind: str, slug: str | None, layer: str) -> int:
    """Your entries of a KIND, or of all kinds, as a file that `import rows` reads: YAML, or JSON or CSV by --format.

    With a SLUG or alias, that entry, whosever it is. --layer all gives what counts: yours, and the facts that they do not stand
    in for.
    """
    from planner import importing
    from planner.catalog.kinds import KINDS, kind_named
    from planner.reports.exported import written

    settings = Settings.current()
    named = None if kind.casefold() == "all" else kind_named(kind, KINDS)
    if slug is not None and (named is None or named not in importing.IN_ORDER):
        raise click.UsageError(f"{kind} has no slugs to choose one by", click.get_current_context())
    entries = iter(importing.exported(named, slug, layer=layer, database=settings.database))
    first = next(entries, None)
    if first is None:
        messages.note(f"no entries in the layer {layer}; --layer all exports those of every layer")
    if layer in ("all", "user") and slug is None and (clashes := importing.names_in_the_way(named, settings.database)):
        more = f" and {len(clashes) - 3:,} more" if len(clashes) > 3 else ""
        messages.note(f"a catalog that has these facts refuses an import of this file: {'; '.join(clashes[:3])}{more}")
    found: Iterator = chain([] if first is None else [first], entries)  # type: ignore[type-arg]
    kinds = list(KINDS) if named is None else [named]
    return deliver_pieces(written(found, kinds, settings.output_format))
