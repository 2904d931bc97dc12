"""`planner catalog import` and `planner catalog remove`: a user's own entries."""

from __future__ import annotations

from typing import Any, Final

import click

from planner.cli import messages
from planner.cli.command import Command, option
from planner.cli.lazy import Lazy, LazyGroup
from planner.cli.output import deliver
from planner.cli.settings import Settings
from planner.cli.value_types import us_dollars

_REPLACE: Final = option("--replace", is_flag=True, help="Put it in the place of an entry of yours that differs.")


@click.group(
    "import",
    cls=LazyGroup,
    lazy={
        "model": Lazy("planner.cli.catalog_import:import_model", "The model of a Hugging Face config.json."),
        "cluster": Lazy(
            "planner.cli.catalog_import:import_cluster",
            "A cluster: described in YAML, or as nvidia-smi, rocm-smi, sinfo or kubectl show it.",
        ),
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
    "cluster", cls=Command,
    examples=(
        "planner catalog import cluster our-pool.yaml",
        "planner catalog import cluster nvidia-smi.xml --slug our-pool --nodes 16",
        "planner catalog import cluster nodes.json --from kubernetes --price 2.10",
    ),
)  # fmt: skip
@click.argument("file", type=click.Path(allow_dash=True))
@option(
    "--from",
    "written_by",
    metavar="TOOL",
    help="What wrote FILE: yaml, nvidia-smi, rocm-smi, sinfo or kubernetes; default: told by the text.",
)
@option("--slug", metavar="SLUG", help="What the cluster is called in commands; default: from the file's name.")
@option("--name", metavar="NAME", help="What it is called for people.")
@option(
    "--nodes",
    type=click.IntRange(min=1, max=1_000_000),
    metavar="N",
    help="How many machines there are such as the one shown.",
)
@option("--accelerator", metavar="GPU", help="Which accelerator the tool's name means.")
@option("--node", metavar="NODE", help="Which node type of the catalog the machine is.")
@option("--network", metavar="RATE", help="The bandwidth of a node's whole network, as 3200Gbit/s or 400GB/s.")
@option("--price", type=us_dollars, metavar="USD", help="What one accelerator costs for an hour.")
@_REPLACE  # fmt: skip
def import_cluster(file: str, written_by: str | None, price: float | None, replace: bool, **known: Any) -> int:  # noqa: ANN401
    """Keep the cluster of FILE as your own.

    FILE describes accelerators, nodes, clusters and prices in YAML, or is the output of nvidia-smi (-q -x, --query-gpu, -L or the
    plain table), rocm-smi --json, amd-smi static --json, sinfo, scontrol show node, or kubectl get nodes -o json; - is standard
    input.
    """
    from planner import importing
    from planner.importers.machine_entries import Known

    answer = importing.import_cluster(
        file, written_by=written_by, known=Known(usd_per_gpu_hour=price, **known), replacing=replace,
        database=Settings.current().database,
    )  # fmt: skip
    for note in answer["notes"]:
        messages.note(note)
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
