"""Predictions beside what others measured or computed: `planner validate`.

Memory is checked against rows of the form that PyTorch's own tracker gives: one model class, one step, bytes by component.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from planner.domain.architecture import Architecture
from planner.domain.hardware import Cluster
from planner.errors import InputError, PlannerError
from planner.importers.huggingface import read_config
from planner.plugin import DeviceOverheads, Framework, Layouts
from planner.question import Question, RecipeNames, build_question
from planner.registry import Registry
from planner.search.evaluation import Evaluation, evaluate_mesh
from planner.search.plans import INSTANTS, REPORTED_INSTANT, peak_of
from planner.search.space import all_choices, derive, make_layouts
from planner.search.timing import over_model

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog

MEMORY_COLUMNS: Final = (
    "predicted_peak_bytes",
    "predicted_saved_after_forward_bytes",
    "predicted_optstate_bytes",
    "predicted_when_peak",
    "error",
)
PRECISIONS: Final = {"bf16": "bf16-pure", "amp": "bf16-mixed", "fp32": "fp32", "fsdp_mixed": "bf16-mixed"}
OPTIMIZERS: Final = {"sgd": "sgd-momentum", "adamw_foreach": "adamw-foreach", "none": "sgd"}
KERNELS: Final = {"none": "eager"}
NO_OVERHEADS: Final = DeviceOverheads(
    context_bytes=0.0, workspace_bytes=0.0, communicator_bytes=0.0, fragmentation=0.0, source="tensors alone"
)


@dataclass(frozen=True, slots=True)
class Validation:
    """Rows as they came, each with its predictions."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON: schema ``planner.validate/1``."""
        return {"schema": "planner.validate/1", "rows": list(self.rows)}


def tensors_only(framework: Framework) -> Framework:
    """The same profile on a device that needs nothing beside tensors: what allocator statistics count."""
    return replace(framework, overheads=NO_OVERHEADS)


def validate_memory(data: str, configs: str | None, catalog: Catalog, registry: Registry) -> Validation:
    """Predict every row of a CSV file of tracked steps. Raises InputError for a file that cannot be read."""
    columns, rows = _read(data)
    cluster = catalog.cluster("h100-pool")
    answered = tuple(_answer(row, configs, catalog, registry, cluster) for row in rows)
    return Validation((*columns, *MEMORY_COLUMNS), answered)


def _read(path: str) -> tuple[Sequence[str], list[dict[str, str]]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
            columns = reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    missing = {"model", "seq", "micro_batch", "mode"} - set(columns)
    if missing:
        raise InputError(
            f"{path} lacks the column {sorted(missing)[0]!r}", hint="see docs/validation.md for the columns"
        )
    return columns, rows


def _answer(
    row: Mapping[str, str], configs: str | None, catalog: Catalog, registry: Registry, cluster: Cluster
) -> dict[str, str]:
    empty = dict.fromkeys(MEMORY_COLUMNS, "")
    try:
        return {**row, **empty, **_predict(row, configs, catalog, registry, cluster)}
    except PlannerError as error:
        return {**row, **empty, "error": str(error)}


def _number(row: Mapping[str, str], column: str, default: int) -> int:
    text = row.get(column, "").strip()
    if not text:
        return default
    try:
        value = int(float(text))
    except ValueError:
        raise InputError(f"column {column}: {text!r} is not a number") from None
    if value < 1:
        raise InputError(f"column {column}: {text!r} is not positive")
    return value


def _predict(
    row: Mapping[str, str], configs: str | None, catalog: Catalog, registry: Registry, cluster: Cluster
) -> dict[str, str]:
    architecture = _architecture(row, configs, catalog, registry)
    question = _question(row, architecture, registry, cluster)
    evaluation = evaluate_mesh(question.context, _layout(row, question), question.rules)
    peak = peak_of(evaluation)
    return {
        "predicted_peak_bytes": f"{float(peak.total[0]):.0f}",
        "predicted_saved_after_forward_bytes": f"{_saved_after_forward(evaluation):.0f}",
        "predicted_optstate_bytes": f"{_optimizer_states(evaluation):.0f}",
        "predicted_when_peak": REPORTED_INSTANT[INSTANTS[int(peak.instant[0])]],
    }


def _architecture(row: Mapping[str, str], configs: str | None, catalog: Catalog, registry: Registry) -> Architecture:
    name = row["model"]
    if configs is not None:
        path = Path(configs) / f"{name}.json"
        if path.exists():
            return read_config(str(path), registry.config_readers.values())
    return catalog.architecture(name)


def _question(row: Mapping[str, str], architecture: Architecture, registry: Registry, cluster: Cluster) -> Question:
    mode = row["mode"]
    if mode not in PRECISIONS:
        raise InputError(f"column mode: unknown {mode!r}", hint=f"one of {', '.join(PRECISIONS)}")
    optimizer = row.get("optimizer") or "adamw"
    kernel = (row.get("sdpa_kernels") or "flash") if row.get("attn_impl", "sdpa") == "sdpa" else "eager"
    names = RecipeNames(
        seq_len=_number(row, "seq", 1), global_batch=_number(row, "micro_batch", 1) * _number(row, "fsdp_world", 1),
        tokens=1.0, precision=PRECISIONS[mode], optimizer=OPTIMIZERS.get(optimizer, optimizer),
        framework="transformers" if mode == "amp" else "accelerate",
        attention=KERNELS.get(kernel, kernel.split("+")[0].split("/")[0]), dropout=row.get("dropout") not in ("", "zero", None),
    )  # fmt: skip
    question = build_question(registry, architecture, cluster, names)
    context = replace(question.context, framework=tensors_only(question.context.framework))
    return replace(question, context=context)


def _layout(row: Mapping[str, str], question: Question) -> Layouts:
    context, rules = question.context, question.rules
    world, tp = _number(row, "fsdp_world", 1), _number(row, "tp", 1)
    degrees = {"tp": tp, "dp": world, "micro_batch": _number(row, "micro_batch", 1)}
    tuples = {
        degree.name: np.asarray([float(degrees.get(degree.name, 1))])
        for strategy in rules.strategies
        for degree in strategy.degrees
    }
    wanted = {
        "zero": 3 if world > 1 else 0,
        "reshard_after_forward": 0 if row.get("reshard_after_forward") == "False" else 1,
        "sequence_parallel": int(row.get("sequence_parallel") == "True"),
        "loss_parallel": int(tp == 1 or row.get("loss_parallel") == "True"),
        "recompute": row.get("checkpointing") or "none",
        "schedule": "1f1b",
    }
    choices = all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes))
    chosen = {choice.name: (wanted.get(choice.name, choice.values[0]),) for choice in choices}
    return make_layouts(derive(context, tuples), chosen).at(np.asarray([0]))


def _saved_after_forward(evaluation: Evaluation) -> float:
    memory, counts = evaluation.memory, evaluation.context.program.counts()
    blocks = [memory.embedding_saved, *(layer.saved for layer in memory.layers), memory.head.saved]
    return float(np.asarray(over_model(counts, blocks)).reshape(-1)[0])


def _optimizer_states(evaluation: Evaluation) -> float:
    counts = evaluation.context.program.counts()
    total = over_model(counts, [block.optimizer for block in evaluation.memory.states])
    return float(np.asarray(total).reshape(-1)[0])


def relative_errors(validation: Validation, predicted: str, measured: str) -> Iterator[float]:
    """predicted / measured − 1 of every row that has both."""
    for row in validation.rows:
        if row.get(predicted) and row.get(measured):
            yield float(row[predicted]) / float(row[measured]) - 1.0
