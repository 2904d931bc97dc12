"""`planner evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from planner.cli.command import Command, option
from planner.cli.configuration import configuration_options, evaluated
from planner.cli.output import deliver
from planner.cli.settings import Settings

if TYPE_CHECKING:
    from planner.domain.plan import EvaluateAnswer

plot_option = option(
    "--plot", type=click.Path(), metavar="FILE.svg", section="Picture",
    help="Draw memory by stage and the step's time too: .svg, .png or .pdf.",
)  # fmt: skip


@click.command(
    cls=Command,
    examples=(
        "planner evaluate --model llama3-7b --cluster a100-pool --tp 2 --dp 4 --zero 1 --micro-batch 2",
        "planner evaluate --model-config config.json --cluster h100-sxm5-80gb:2x8 --gpus 16 --zero 3",
        "planner evaluate --model gpt3-175b --cluster a100-pool --tp 8 --pp 8 --dp 8 --plot memory.svg",
        "planner evaluate --runs runs.csv --format csv -o predicted.csv",
    ),
)
@option(
    "--runs", type=click.Path(), metavar="FILE.csv", section="Many configurations",
    help="One exact configuration per row, instead of the options below.",
)  # fmt: skip
@configuration_options
@plot_option
@click.pass_context
def evaluate(context: click.Context, /, runs: str | None, plot: str | None, **given: Any) -> int:  # noqa: ANN401 - the options, by name
    """What one exact configuration uses and reaches: no search.

    Degrees that are not given are 1. A file of runs comes back with predictions beside every row.
    """
    if runs is not None:
        _refuse_beside_runs(context, given)
        if plot is not None:
            raise click.UsageError("--plot cannot be given with --runs: it draws one configuration", context)
        return _evaluate_runs(runs)
    from planner.reports.evaluate import report

    answer = evaluated_and_drawn(given, plot)
    return deliver(report(answer), answered=answer.answered)


def evaluated_and_drawn(given: dict[str, Any], plot: str | None) -> EvaluateAnswer:
    """Evaluate the configuration that the options describe, and draw it where a file is named."""
    if plot is None:
        return evaluated(given)
    from planner.reports.pictures.answers import draw_evaluation
    from planner.reports.pictures.file import check_drawable

    # First, so that nobody waits for an answer that cannot be drawn.
    check_drawable(Path(plot))
    answer = evaluated(given)
    draw_evaluation(answer, Path(plot))
    return answer


def _refuse_beside_runs(context: click.Context, given: dict[str, Any]) -> None:
    for name in given:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            spelled = next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)
            raise click.UsageError(f"{spelled} cannot be given with --runs: the rows of the file say it", context)


def _evaluate_runs(path: str) -> int:
    from planner import api
    from planner.reports.runs import report

    settings = Settings.current()
    # A row that cannot be evaluated says so in its own cell; the file as a whole is answered.
    return deliver(report(api.evaluate_runs(path, database=settings.database, strict_plugins=settings.strict_plugins)))
