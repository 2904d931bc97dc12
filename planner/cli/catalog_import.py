"""`planner catalog import` and `planner catalog remove`: a user's own entries."""

from __future__ import annotations

from typing import Any, Final

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.lazy import Lazy, LazyGroup
from planner.cli.output import deliver
from planner.cli.settings import Settings

_REPLACE: Final = option("--replace", is_flag=True, help="Put it in the place of an entry of yours that differs.")


@click.group(
    "import",
    cls=LazyGroup,
    lazy={
        "model": Lazy("planner.cli.catalog_import:import_model", "The model of a Hugging Face config.json."),
        "rows": Lazy("planner.cli.catalog_import:import_rows", "All entries of a file: YAML, JSON or CSV."),
    },
    examples=("planner catalog import model config.json --slug my-model", "planner catalog import rows export.yaml"),
)
def import_group() -> None:
    """Bring models, clusters, machines and prices of your own into the catalog."""


@click.command(
    "model", cls=Command,
    examples=("planner catalog import model config.json --slug my-model", "planner catalog import model my-checkout/"),
)  # fmt: skip
@click.argument("path", type=click.Path(allow_dash=True))
@option("--slug", metavar="SLUG", help="What it is called in commands; default: from the file's or the folder's name.")
@option("--name", metavar="NAME", help="What it is called for people.")
@option("--alias", "aliases", metavar="NAME", multiple=True, help="Another name; may be repeated.")
@_REPLACE
def import_model(path: str, slug: str | None, name: str | None, aliases: tuple[str, ...], replace: bool) -> int:
    """Keep the model of a config.json, or of a folder that holds one, as your own: PATH, or - for standard input."""
    from planner import importing

    database = Settings.current().database
    answer = importing.import_model(
        path, slug=slug, name=name, aliases=aliases, replacing=replace, database=database
    )  # fmt: skip
    return _imported(answer)


@click.command(
    "rows", cls=Command,
    examples=("planner catalog import rows export.yaml", "planner catalog import rows prices.csv --replace"),
)  # fmt: skip
@click.argument("file", type=click.Path(allow_dash=True))
@_REPLACE
def import_rows(file: str, replace: bool) -> int:
    """Keep all entries of FILE (.csv, else YAML or JSON; - for standard input), all of them or none."""
    from planner import importing

    return _imported(importing.import_entries(file, replacing=replace, database=Settings.current().database))


@click.command("remove", cls=Command, examples=("planner catalog remove model my-model",))
@click.argument("kind")
@click.argument("slug")
def remove_entry(kind: str, slug: str) -> int:
    """Remove the entry of a KIND that a SLUG or alias names: one of your own, never a released one."""
    from planner import importing
    from planner.catalog.kinds import kind_named
    from planner.reports.imports import removed_report

    answer = importing.remove_entry(kind_named(kind), slug, database=Settings.current().database)
    return deliver(removed_report(answer))


def _imported(answer: dict[str, Any]) -> int:
    from planner.catalog.kinds import singular
    from planner.reports.imports import imported_report

    hidden = answer["shadows"]
    if hidden:
        more = f" and {len(hidden) - 3:,} more" if len(hidden) > 3 else ""
        named = ", ".join(f"{singular(each['kind'])} {each['slug']}" for each in hidden[:3])
        messages.note(f"yours now come before the released: {named}{more}; planner catalog remove takes them out again")
    return deliver(imported_report(answer))
