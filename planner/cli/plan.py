"""`planner plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from planner.cli.command import Command, option
from planner.cli.evaluate import plot_option
from planner.cli.layout_options import layout_of, pin_options
from planner.cli.messages import note
from planner.cli.output import deliver
from planner.cli.progress import progress_bar
from planner.cli.recipe_options import JOB, POSITIVE, recipes_of, recipes_options
from planner.cli.settings import Settings
from planner.cli.value_types import axes_and_values, duration_s, gpu_range, us_dollars
from planner.domain.goals import OBJECTIVES

GOAL: Final = "Goal"


@click.command(
    cls=Command,
    examples=(
        "planner plan --model llama3-7b --cluster a100-pool",
        "planner plan --model gpt3-175b --cluster h100-sxm5-80gb:64x8 --tokens 300B --deadline 30d",
        "planner plan --model llama3-70b --cluster a100-pool --cluster h100-pool --deadline 60d",
        "planner plan --model config.json --cluster rtx-4090:8 --tp 4 --recompute full --format json",
    ),
)
@option(
    "--model", required=True, metavar="MODEL", section=JOB, help="A model of the catalog, or the path of a config.json."
)
@recipes_options
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
@option(
    "--without",
    multiple=True,
    metavar="NAME",
    section=GOAL,
    help="Leave out a strategy (tensor, pipeline, context, expert) or an axis; may be repeated.",
)
@option(
    "--why-not",
    type=axes_and_values,
    metavar="AXIS=N,…",
    section=GOAL,
    help="Say what keeps a layout from being recommended, as tp=4,pp=2.",
)
@option("--jobs", type=POSITIVE, default=1, show_default=True, metavar="N", section=GOAL, help="Processes that search.")
@pin_options
@plot_option
def plan(model: str, plot: str | None, **given: Any) -> int:  # noqa: ANN401 - the options, by name
    """How many GPUs a training job needs, laid out how, for how long, at what cost.

    The fewest GPUs that fit, and the best layout by the goal. Options of the layout pin an axis to
    one value or several (1,2,4 or 1-8); all other axes are searched. Several clusters or frameworks
    are compared, and the cheapest (by the goals time and energy: the best) is shown.
    """
    from planner import api
    from planner.reports.plan import report

    if plot is not None:
        # First, so that nobody waits for an answer that cannot be drawn.
        from planner.reports.pictures.file import check_drawable

        check_drawable(Path(plot))
    fewest, most = given.pop("gpus") or (1, None)
    recipes, pins = recipes_of(model, given), layout_of(given)
    search = api.Search(
        min_gpus=fewest,
        max_gpus=most,
        objective=given["objective"],
        deadline_s=given["deadline"],
        budget_usd=given["budget"],
        pins=pins,
        without=given["without"],
        why_not=given["why_not"] or {},
        top=given["top"],
        sensitivity=given["sensitivity"],
        jobs=given["jobs"],
    )
    settings = Settings.current()
    with progress_bar("searching") as progress:
        answer = api.plan_among(
            recipes, search, database=settings.database, strict_plugins=settings.strict_plugins, progress=progress
        )
    if plot is not None:
        from planner.reports.pictures.answers import draw_plan

        if not draw_plan(answer, Path(plot)):
            note(f"nothing is recommended, so {plot!r} is not drawn; planner evaluate draws what does not fit")
    return deliver(report(answer), answered=answer.answered)
