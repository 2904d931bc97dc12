"""One exact configuration by options: what `evaluate` and `explain` have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click

from planner.cli.command import AnyFunction, option
from planner.cli.layout_options import LAYOUT, layout_of, layout_options
from planner.cli.recipe_options import JOB, POSITIVE, recipe_of, recipe_options
from planner.cli.settings import Settings

if TYPE_CHECKING:
    from planner.domain.plan import EvaluateAnswer


CONFIG_FILE: Final = click.Path(exists=True, allow_dash=True)


def configuration_options(function: AnyFunction) -> AnyFunction:
    """Add a recipe, a layout and the model's two spellings to a command."""
    gpus = option(
        "--gpus",
        type=POSITIVE,
        metavar="N",
        section=LAYOUT,
        help="GPUs in all; dp follows from it where it is not given.",
    )
    function = layout_options(gpus(function))
    function = recipe_options(function)
    config = option(
        "--model-config",
        type=CONFIG_FILE,
        metavar="FILE",
        section=JOB,
        help="The config.json of a model, instead of --model.",
    )
    model = option(
        "--model", metavar="MODEL", section=JOB, help="A model of the catalog, or the path of a config.json."
    )
    return model(config(function))


def one_model(model: str | None, model_config: str | None) -> str:
    """The model that was named by one of the two options; a file always as a path, whatever it is called."""
    if (model is None) == (model_config is None):
        raise click.UsageError("give one of --model and --model-config", click.get_current_context())
    if model is not None:
        return model
    path = model_config or ""
    return path if path == "-" or os.path.isabs(path) else os.path.join(os.curdir, path)


def evaluated(given: dict[str, Any]) -> EvaluateAnswer:
    """Evaluate the configuration that the options describe."""
    from planner import api

    model = one_model(given.pop("model"), given.pop("model_config"))
    recipe, layout = recipe_of(model, given), dict(layout_of(given))
    if given.get("gpus") is not None:
        layout["n_gpus"] = given["gpus"]
    settings = Settings.current()
    return api.evaluate(recipe, layout, database=settings.database, strict_plugins=settings.strict_plugins)
