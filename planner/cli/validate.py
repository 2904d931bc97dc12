"""`planner validate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from planner.cli.command import Command, option
from planner.cli.output import deliver
from planner.cli.settings import Settings

if TYPE_CHECKING:
    from planner.validation.validate import What

LAYOUTS: Final = "layouts"
WHAT: Final = ("memory", "time", "all", LAYOUTS)


@click.command(
    cls=Command,
    examples=(
        "planner validate",
        "planner validate --what memory --format csv -o predicted.csv",
        "planner validate --what time --data my-runs.csv --plot errors.svg",
    ),
)
@option(
    "--what", type=click.Choice(WHAT), default="all", show_default=True,
    help="Memory of tracked steps, time of measured runs, both, or published layouts against the search.",
)  # fmt: skip
@option(
    "--data", type=click.Path(allow_dash=True), metavar="FILE.csv",
    help="Rows of your own; default: those that ship with the planner.",
)  # fmt: skip
@option("--configs", type=click.Path(), metavar="DIR", help="NAME.json for the models that the rows of --data name.")
@option("--plot", type=click.Path(), metavar="FILE.svg", help="Draw predicted against measured: .svg, .png or .pdf.")
def validate(what: What | Literal["layouts"], data: str | None, configs: str | None, plot: str | None) -> int:
    """How far off the predictions are from what others measured.

    Exit status 0 whatever the errors are: they are the answer.
    """
    if what == LAYOUTS:
        if plot is not None or configs is not None:
            raise click.UsageError("--plot and --configs do not go with --what layouts", click.get_current_context())
        return _rank_layouts(data)
    from planner import api
    from planner.reports.validate import report
    from planner.validation.validate import validate as answer_validation

    if plot is not None:
        # First, so that nobody waits for an answer that cannot be drawn.
        from planner.reports.pictures.file import check_drawable

        check_drawable(Path(plot))
    settings = Settings.current()
    predict_runs = partial(
        api.evaluate_runs,
        database=settings.database,
        strict_plugins=settings.strict_plugins,
        with_ranges=what != "memory",
    )
    answer = answer_validation(
        what, predict_runs, data=data, configs=configs, database=settings.database,
        strict_plugins=settings.strict_plugins,
    )  # fmt: skip
    if plot is not None:
        from planner.reports.pictures.scatter import draw
        from planner.validation.panels import panels

        draw(panels(answer), Path(plot))
    return deliver(report(answer))


def _rank_layouts(data: str | None) -> int:
    from planner.reports.layouts import report
    from planner.validation.layouts import rank_layouts
    from planner.validation.tables import LAYOUTS_FILE, shipped

    settings = Settings.current()
    path = str(shipped(LAYOUTS_FILE)) if data is None else data
    return deliver(report(rank_layouts(path, database=settings.database, strict_plugins=settings.strict_plugins)))
