"""`planner plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from planner.cli.command import Command, option
from planner.cli.evaluate import plot_option
from planner.cli.layout_options import layout_of, layout_options
from planner.cli.messages import note
from planner.cli.output import deliver
from planner.cli.recipe_options import JOB, POSITIVE, recipe_of, recipe_options
from planner.cli.settings import Settings
from planner.cli.value_types import duration_s, gpu_range, us_dollars

GOAL: Final = "Goal"
OBJECTIVES: Final = ("min-gpus", "time", "cost", "energy")


@click.command(
    cls=Command,
    examples=(
        "planner plan --model llama3-7b --cluster a100-pool",
        "planner plan --model gpt3-175b --cluster h100-sxm5-80gb:64x8 --tokens 300B --deadline 30d",
        "planner plan --model config.json --cluster rtx-4090:8 --tp 4 --recompute full --format json",
    ),
)
@option(
    "--model", required=True, metavar="MODEL", section=JOB, help="A model of the catalog, or the path of a config.json."
)
@recipe_options
@option(
    "--gpus",
    type=gpu_range,
    metavar="N|MIN-MAX",
    section=GOAL,
    help="How many may be used; default: up to the whole cluster.",
)
@option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="min-gpus",
    show_default=True,
    metavar="GOAL",
    section=GOAL,
    help="What to recommend: min-gpus, time, cost or energy.",
)
@option(
    "--deadline", type=duration_s, metavar="TIME", section=GOAL, help="The run must end by then with failures, as 30d."
)
@option("--budget", type=us_dollars, metavar="USD", section=GOAL, help="The run must cost no more.")
@option(
    "--top",
    type=POSITIVE,
    default=5,
    show_default=True,
    metavar="N",
    section=GOAL,
    help="How many alternatives to list.",
)
@option(
    "--sensitivity",
    is_flag=True,
    section=GOAL,
    help="How the answer moves with efficiency, network, price and failures.",
)
@layout_options
@plot_option
def plan(model: str, plot: str | None, **given: Any) -> int:  # noqa: ANN401 - the options, by name
    """How many GPUs a training job needs, laid out how, for how long, at what cost.

    The fewest GPUs that fit, and the best layout by the goal. Options of the layout pin an axis;
    all other axes are searched.
    """
    from planner import api
    from planner.reports.plan import report

    if plot is not None:
        # First, so that nobody waits for an answer that cannot be drawn.
        from planner.reports.pictures.file import check_drawable

        check_drawable(Path(plot))
    fewest, most = given.pop("gpus") or (1, None)
    recipe, pins = recipe_of(model, given), layout_of(given)
    search = api.Search(
        min_gpus=fewest,
        max_gpus=most,
        objective=given["objective"],
        deadline_s=given["deadline"],
        budget_usd=given["budget"],
        pins=pins,
        top=given["top"],
        sensitivity=given["sensitivity"],
    )
    settings = Settings.current()
    answer = api.plan(recipe, search, database=settings.database, strict_plugins=settings.strict_plugins)
    if plot is not None:
        from planner.reports.pictures.answers import draw_plan

        if not draw_plan(answer, Path(plot)):
            note(f"nothing is recommended, so {plot!r} is not drawn; planner evaluate draws what does not fit")
    return deliver(report(answer), answered=answer.answered)
