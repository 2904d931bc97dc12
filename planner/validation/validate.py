"""Validation of memory, of time, or of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, get_args

from planner.errors import InputError
from planner.importers.csv_table import STANDARD_INPUT, read_table
from planner.validation.answer import Predicted, Rows, Runs, Validation
from planner.validation.device_memory import device_memory_summary
from planner.validation.memory import REQUIRED, predict_memory
from planner.validation.memory_summary import memory_summary
from planner.validation.tables import CONFIGS_FOLDER, MEMORY_FILE, RUNS_FILE, shipped
from planner.validation.time_summary import time_summary

What: TypeAlias = Literal["memory", "time", "all"]
WHAT: Final[tuple[What, ...]] = get_args(What)


def validate(
    what: What,
    predict_runs: Callable[[str], Runs],
    *,
    data: str | None = None,
    configs: str | None = None,
    database: str | None = None,
    strict_plugins: bool = False,
) -> Validation:
    """Predict the rows of `data` (default: the tables that ship with the planner) and sum up how far off that is.

    `predict_runs` answers a file of measured runs, as `planner.api.evaluate_runs` does. With `what` ``all`` the columns
    of `data` say what it is. Raises InputError for a file that cannot be read, CatalogError, PluginError.
    """
    kinds = _kinds(what, data)
    tables: dict[str, Rows] = {}
    summary = {}
    if kinds == ("memory",) and data not in (None, STANDARD_INPUT) and _are_runs(data):
        runs = predict_runs(data or "")
        summary["device_memory"] = device_memory_summary(runs.rows)
        return Validation({"time": runs}, summary)
    if "memory" in kinds:
        folder = str(shipped(CONFIGS_FOLDER)) if configs is None and data is None else configs
        tables["memory"] = _predicted_memory(data or str(shipped(MEMORY_FILE)), folder, database, strict_plugins)
        summary["memory"] = memory_summary(tables["memory"].rows)
    if "time" in kinds or data is None:
        runs = predict_runs(data or str(shipped(RUNS_FILE)))
        if "time" in kinds:
            tables["time"] = runs
            summary["time"] = time_summary(runs.rows, runs.ranges)
        summary["device_memory"] = device_memory_summary(runs.rows)
    return Validation(tables, summary)


def _are_runs(data: str | None) -> bool:
    """Whether a file holds measured runs, whose peaks are device memory, and no tracked steps."""
    columns = set(read_table(data or "").columns)
    return "n_gpus" in columns and not set(REQUIRED) <= columns


def _kinds(what: What, data: str | None) -> tuple[str, ...]:
    if what != "all":
        return (what,)
    if data is None:
        return ("memory", "time")
    if data == STANDARD_INPUT:
        raise InputError("standard input can be read only once", hint="say --what memory or --what time")
    columns = read_table(data).columns
    memory, time = set(REQUIRED) <= set(columns), "n_gpus" in columns
    if not memory and not time:
        raise InputError(
            f"{data} is neither a table of tracked steps nor one of runs",
            hint=f"the first has the columns {', '.join(REQUIRED)}, the second gpu and n_gpus",
        )
    return (*(("memory",) if memory else ()), *(("time",) if time else ()))


def _predicted_memory(path: str, configs: str | None, database: str | None, strict: bool) -> Predicted:
    from planner.catalog.reader import Catalog
    from planner.registry import installed_registry

    table = read_table(path, REQUIRED)
    registry = installed_registry(strict=strict)
    with Catalog.open(database, branches=registry.branch_directories) as catalog:
        return predict_memory(table, configs, catalog, registry)
