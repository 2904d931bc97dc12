"""What every row of a table of runs uses and reaches: `planner evaluate --runs`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from planner.domain.mesh import Layouts
from planner.domain.plan import MEMORY_COMPONENTS, Plan
from planner.errors import PlannerError, PluginFaultError
from planner.importers.csv_table import CsvTable
from planner.importers.runs import RunRow, Vocabulary, parse_row, read_runs
from planner.plugin import Context, DeviceOverheads
from planner.runs.questions import Asked, Questions
from planner.search.evaluation import evaluate_mesh
from planner.search.plans import Peak, peak_of, plans_from, reported_instant
from planner.search.ranges import step_time_range_s
from planner.search.refusing import refusals
from planner.search.rules import Rules
from planner.units import GIB

if TYPE_CHECKING:
    from planner.registry import Registry

SCHEMA: Final = "planner.runs/1"
PREDICTED: Final = (
    "predicted_step_time_s", "predicted_tokens_per_s_per_gpu", "predicted_model_tflops_per_gpu", "predicted_mfu",
    "predicted_hfu", "predicted_peak_memory_gib", "predicted_weights_gib", "predicted_gradients_gib",
    "predicted_optimizer_gib", "predicted_activations_gib", "predicted_other_gib", "predicted_when_peak",
    "predicted_params", "fits", "defaults", "error",
)  # fmt: skip
"""The columns that follow those of the file (DESIGN section 6)."""
GIB_DIGITS: Final = 6
"""Decimal places of a printed GiB: a kilobyte."""


Group: TypeAlias = Sequence[tuple[int, Asked]]
"""Rows that share a context, each with its number in the file."""
Range: TypeAlias = tuple[float, float]
"""The shortest and the longest step [s]."""
Prediction: TypeAlias = tuple[dict[str, str], Range | None]
"""The cells that are predicted of a row, and its range where that was asked for."""


@dataclass(frozen=True, slots=True)
class RunsAnswer:
    """The rows of the file in their order, each with its predictions or its error; `ranges` holds, where they were asked for,
    the shortest and the longest step [s] of each row that has a prediction."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    ranges: tuple[Range | None, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON: schema ``planner.runs/1``; the keys of a row are the columns."""
        return {"schema": SCHEMA, "rows": [dict(row) for row in self.rows]}


def evaluate_runs(
    path: str, *, database: str | None = None, strict_plugins: bool = False, with_ranges: bool = False
) -> RunsAnswer:
    """Predict every row of the CSV file `path` (``-``: standard input); `with_ranges` also between which bounds steps lie.

    A row that cannot be evaluated has its ``error`` filled, and the others go on.
    Raises InputError if the file is unreadable or lacks the columns of the GPU and n_gpus, CatalogError, PluginError.
    """
    from planner.catalog.reader import Catalog
    from planner.isolation import answered

    file = read_runs(path)

    def ask(registry: Registry) -> RunsAnswer:
        with Catalog.open(database, branches=registry.branch_directories) as catalog:
            return answer_runs(file, registry, Questions(catalog, registry), with_ranges=with_ranges)

    return answered(ask, strict=strict_plugins)


def answer_runs(file: CsvTable, registry: Registry, questions: Questions, *, with_ranges: bool = False) -> RunsAnswer:
    """Predict every row of a file that is read already."""
    groups, failed = ask_rows(file, registry, questions)
    return answer_rows(file, groups, failed, questions.rules, with_ranges=with_ranges)


def answer_rows(
    file: CsvTable,
    groups: Sequence[Group],
    failed: Mapping[int, Mapping[str, str]],
    rules: Rules,
    *,
    with_ranges: bool = False,
) -> RunsAnswer:
    """Predict the questions that `ask_rows` made of the rows of `file`; `failed` are the rows that are none."""
    predicted: dict[int, Mapping[str, str]] = dict(failed)
    ranges: dict[int, Range] = {}
    for members in groups:
        for index, (cells, between) in _evaluated(members, rules, with_ranges=with_ranges).items():
            predicted[index] = cells
            if between is not None and not cells["error"]:
                ranges[index] = between
    columns = tuple(name for name in file.columns if name not in PREDICTED)
    rows = tuple(
        {name: cells[name] for name in columns} | dict(predicted[index]) for index, cells in enumerate(file.rows)
    )
    return RunsAnswer((*columns, *PREDICTED), rows, tuple(map(ranges.get, range(len(rows)))) if with_ranges else ())


def ask_rows(
    file: CsvTable, registry: Registry, questions: Questions
) -> tuple[tuple[Group, ...], dict[int, dict[str, str]]]:
    """The rows as questions, those that share a context together; and the rows that are none, each with its error."""
    vocabulary = Vocabulary(
        precisions=tuple(registry.precisions),
        optimizers=tuple(registry.optimizers),
        recomputes=tuple(registry.recomputes),
        offloads=tuple(registry.offloads),
        schedules=tuple(registry.schedules),
        methods=tuple(registry.methods),
    )
    failed = {index: _failed(why) for index, why in file.broken.items()}
    rows: dict[int, RunRow] = {}
    for index, cells in enumerate(file.rows):
        if index not in failed:
            with _costing_itself(index, failed):
                rows[index] = parse_row(cells, vocabulary)
    questions.look_up(rows.values())
    groups: dict[Any, list[tuple[int, Asked]]] = {}
    for index, row in rows.items():
        with _costing_itself(index, failed):
            asked = questions.ask(row)
            groups.setdefault(asked.key, []).append((index, asked))
    return tuple(groups.values()), failed


@contextmanager
def _costing_itself(index: int, failed: dict[int, dict[str, str]]) -> Iterator[None]:
    """A row that fails costs itself, not the file."""
    try:
        yield
    except PluginFaultError:
        raise
    except PlannerError as problem:
        failed[index] = _failed(problem.message)
    except Exception as problem:
        failed[index] = _failed(_fault(problem))


def _failed(message: str) -> dict[str, str]:
    return dict.fromkeys(PREDICTED, "") | {"error": " ".join(message.split())}


def _fault(problem: Exception) -> str:
    return f"cannot be evaluated: {type(problem).__name__}: {problem}"


def _evaluated(members: Group, rules: Rules, *, with_ranges: bool) -> dict[int, Prediction]:
    """Rows that share a context are one mesh; if that fails, each is its own, so that one cannot spoil the others."""
    try:
        found = _predictions([asked for _, asked in members], rules, with_ranges=with_ranges)
        return dict(zip((index for index, _ in members), found, strict=True))
    except PluginFaultError:
        raise
    except Exception as problem:
        if len(members) == 1:
            message = problem.message if isinstance(problem, PlannerError) else _fault(problem)
            return {members[0][0]: (_failed(message), None)}
    return {
        index: row for member in members for index, row in _evaluated([member], rules, with_ranges=with_ranges).items()
    }


def _predictions(asked: Sequence[Asked], rules: Rules, *, with_ranges: bool) -> list[Prediction]:
    context = asked[0].context
    mesh = Layouts.join([each.layouts for each in asked]).narrowed()
    evaluation = evaluate_mesh(context, mesh, rules)
    plans = plans_from(evaluation, headroom=0.0)
    reasons = _reasons(context, mesh, rules)
    # What a measurement sees of the device decides where it peaks, not what layouts hold there or how long they take.
    peaks = {
        kind: peak_of(evaluation.under(_measured_as(context, kind))) for kind in {each.peak_kind for each in asked}
    }
    ranges: list[Range | None] = [None] * len(asked)
    if with_ranges:
        ends = (np.broadcast_to(end, mesh.shape).reshape(-1).tolist() for end in step_time_range_s(evaluation))
        ranges = list(zip(*ends, strict=True))
    return [
        (_printed(context, plan, peaks[each.peak_kind], row, (*each.filled, *reasons[row])), ranges[row])
        for row, (each, plan) in enumerate(zip(asked, plans, strict=True))
    ]


def _measured_as(context: Context, kind: str) -> Context:
    """The context in which the device holds no more than a measurement of this `kind` sees.

    ``allocated`` and ``active`` see tensors; ``reserved`` also what the caching allocator keeps; ``nvidia-smi`` all.
    """
    if kind == "nvidia-smi":
        return context
    overheads = context.framework.overheads
    reserved = kind == "reserved"
    seen = DeviceOverheads(
        context_bytes=0.0,
        workspace_bytes=overheads.workspace_bytes if reserved else 0.0,
        communicator_bytes=0.0,
        fragmentation=overheads.fragmentation if reserved else 0.0,
        source=overheads.source,
    )
    return replace(context, framework=replace(context.framework, overheads=seen))


def _reasons(context: Context, mesh: Layouts, rules: Rules) -> list[tuple[str, ...]]:
    """Why the planner's own rules would refuse each row: measured all the same, so predicted all the same."""
    shape = mesh.shape
    found: list[list[str]] = [[] for _ in range(shape[-1])]
    with np.errstate(divide="ignore", invalid="ignore"):
        for refusal in refusals(context, mesh, rules):
            for row in np.flatnonzero(np.broadcast_to(refusal.where, shape)) if refusal.where.any() else ():
                found[row].append(f"refused in a search: {refusal.reason}")
    return [tuple(dict.fromkeys(reasons)) for reasons in found]


def _printed(context: Context, plan: Plan, seen: Peak, row: int, filled: Sequence[str]) -> dict[str, str]:
    """One row's predictions; the printed components sum to the printed peak to the last digit."""
    numbers = {
        "predicted_step_time_s": plan.step_time_s,
        "predicted_tokens_per_s_per_gpu": plan.tokens_per_s_per_gpu,
        "predicted_model_tflops_per_gpu": plan.model_tflops_per_gpu,
        "predicted_mfu": plan.mfu,
        "predicted_hfu": plan.hfu,
    }
    parts = {name: float(seen.components[name][row]) for name in MEMORY_COMPONENTS}
    if not all(map(math.isfinite, (*numbers.values(), *parts.values()))) or plan.step_time_s <= 0.0:
        return _failed("the prediction is not a finite number")
    gib = {name: round(Decimal(value / GIB), GIB_DIGITS) for name, value in parts.items()}
    found: Mapping[str, str] = {
        **{name: f"{value:.9g}" for name, value in numbers.items()},
        "predicted_peak_memory_gib": f"{sum(gib.values(), Decimal(0)):f}",
        **{f"predicted_{name}_gib": f"{value:f}" for name, value in gib.items()},
        "predicted_when_peak": reported_instant(seen, row),
        "predicted_params": str(context.program.total_params),
        "fits": "true" if plan.memory.fits else "false",
        "defaults": "; ".join(filled),
        "error": "",
    }
    return {name: found[name] for name in PREDICTED}
