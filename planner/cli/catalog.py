"""`planner catalog`."""

from __future__ import annotations

from typing import Any

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.configuration import CONFIG_FILE, one_model
from planner.cli.hardware_options import CHOOSE, hardware_options, known_formats
from planner.cli.lazy import Lazy, LazyGroup
from planner.cli.opened import opened_catalog
from planner.cli.output import deliver
from planner.cli.settings import Settings


@click.group(
    cls=LazyGroup,
    lazy={
        "list": Lazy("planner.cli.catalog_list:list_kind", "All entries of a kind."),
        "show": Lazy("planner.cli.catalog:show_entry", "One entry with its sources."),
        "search": Lazy("planner.cli.catalog:search_all", "Entries whose name contains a text."),
        "history": Lazy("planner.cli.catalog_look:history", "What is known of an entry over time."),
        "sources": Lazy("planner.cli.catalog_look:sources", "Documents, and which facts rest on them."),
        "import": Lazy("planner.cli.catalog_import:import_group", "Bring entries of your own into the catalog."),
        "export": Lazy("planner.cli.catalog_export:export", "Your entries as a file that import reads again."),
        "remove": Lazy("planner.cli.catalog_import:remove_entry", "Remove an entry of your own."),
        "diff": Lazy("planner.cli.catalog_releases:diff", "What differs between two releases or revisions."),
        "changelog": Lazy("planner.cli.catalog_releases:changelog", "The releases and what each brought."),
        "params": Lazy("planner.cli.catalog:params", "The exact number of parameters of a model."),
    },
    examples=("planner catalog list clusters", "planner catalog show accelerators a100-sxm4-80gb"),
)
def catalog() -> None:
    """Known models, accelerators, nodes, clusters and prices, each fact with its source."""


@click.command("show", cls=Command, examples=("planner catalog show models llama3-7b",))
@click.argument("kind")
@click.argument("slug")
def show_entry(kind: str, slug: str) -> int:
    """The entry of a KIND that a SLUG or alias names, with its sources."""
    from planner.catalog.kinds import kind_named
    from planner.reports.catalog import entry_report

    with opened_catalog() as source:
        return deliver(entry_report(kind_named(kind), source.row(kind_named(kind), slug)))


@click.command(
    "search", cls=Command,
    examples=("planner catalog search llama", "planner catalog search instinct --min-mem 128GB --format fp8"),
)  # fmt: skip
@click.argument("text", nargs=-1, required=True)
@option("--kind", metavar="KIND", section=CHOOSE, help="Only this kind of entry.")
@hardware_options
@option(
    "--limit",
    type=click.IntRange(min=1, max=100_000),
    default=50,
    show_default=True,
    metavar="N",
    help="At most so many.",
)
def search_all(text: tuple[str, ...], kind: str | None, output_format: tuple[str, ...], **filters: Any) -> int:  # noqa: ANN401 - the options
    """Entries of every kind with a slug, name or alias that contains every word of TEXT, the closest first."""
    from planner.catalog.browse import Filters
    from planner.catalog.kinds import kind_named
    from planner.reports.catalog import search_report

    words = " ".join(text)
    named = None if kind is None else kind_named(kind)
    with opened_catalog() as source, source.snapshot():
        filters["formats"] += known_formats(source, output_format)
        page = source.search_page(words, Filters(**filters), kind=named)
        near = () if page.rows else source.near_names(named, words)
    if page.more:
        messages.note(f"the closest {len(page.rows):,} are shown, there are more: another word or --limit")
    return deliver(search_report(words, page.rows, near=near))


@click.command(
    "params", cls=Command,
    examples=("planner catalog params --model llama3-7b", "planner catalog params --model-config config.json -f json"),
)  # fmt: skip
@option("--model", metavar="MODEL", help="A model of the catalog.")
@option("--model-config", type=CONFIG_FILE, metavar="FILE", help="The config.json of a model, instead of --model.")
def params(model: str | None, model_config: str | None) -> int:
    """The exact number of parameters of a model: in all, active per token, in the embeddings."""
    from planner import api
    from planner.reports.rules import parameters_report

    document = api.model_parameters(one_model(model, model_config), database=Settings.current().database)
    return deliver(parameters_report(document))
