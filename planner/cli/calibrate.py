"""`planner calibrate`."""

from __future__ import annotations

import click

from planner.cli.command import Command, option
from planner.cli.output import deliver
from planner.cli.settings import Settings
from planner.errors import InputError


@click.command(
    cls=Command,
    examples=(
        "planner calibrate --from my-runs.csv --dry-run",
        "planner calibrate --from my-runs.csv",
        "planner calibrate --forget",
    ),
)
@option(
    "--from", "runs", type=click.Path(allow_dash=True), metavar="RUNS.csv",
    help="Measured runs, a row each, as for planner evaluate --runs.",
)  # fmt: skip
@option("--dry-run", is_flag=True, help="Fit and show the errors, but keep nothing.")
@option("--forget", is_flag=True, help="Remove all calibrations from the catalog instead.")
def calibrate(runs: str | None, dry_run: bool, forget: bool) -> int:
    """Fit the constants of your machines to your measured runs.

    One factor on the arithmetic rate of each accelerator, one on its network. They are kept in the catalog, dated, and used by
    every command from then on.
    """
    from planner import api
    from planner.reports import calibrate as reports

    settings = Settings.current()
    if forget:
        if runs is not None or dry_run:
            raise InputError(
                "--forget goes with neither --from nor --dry-run", hint="forget first, then calibrate again"
            )
        return deliver(reports.forgotten(api.forget_calibrations(database=settings.database)))
    if runs is None:
        raise InputError("no runs to fit to", hint="name a file with --from, or say --forget")
    answer = api.calibrate(
        runs, database=settings.database, strict_plugins=settings.strict_plugins, dry_run=dry_run
    )  # fmt: skip
    return deliver(reports.report(answer.to_dict(), dry_run=dry_run))
