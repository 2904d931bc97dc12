"""Memory beside rows of the form that PyTorch's own tracker gives: one model class, one step, bytes by component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from planner.domain.architecture import Architecture
from planner.domain.hardware import Cluster
from planner.errors import InputError, PlannerError
from planner.importers.csv_table import CsvTable
from planner.importers.huggingface import read_config
from planner.plugin import DeviceOverheads, Framework, Layouts
from planner.question import Question, RecipeNames, build_question
from planner.registry import Registry
from planner.search.evaluation import Evaluation, evaluate_mesh
from planner.search.plans import INSTANTS, REPORTED_INSTANT, peak_of
from planner.search.space import all_choices, derive, make_layouts
from planner.search.timing import over_model
from planner.validation.answer import Predicted

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog

REQUIRED: Final = ("model", "seq", "micro_batch", "mode")
CLUSTER: Final = "h100-pool"
"""A question needs a cluster; which one does not matter, because only tensors are counted."""
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


def tensors_only(framework: Framework) -> Framework:
    """The same profile on a device that needs nothing beside tensors: what allocator statistics count."""
    return replace(framework, overheads=NO_OVERHEADS)


def predict_memory(table: CsvTable, configs: str | None, catalog: Catalog, registry: Registry) -> Predicted:
    """Every row of a table of tracked steps, followed by `MEMORY_COLUMNS`.

    A model is the ``NAME.json`` in `configs`, else the catalog's. Raises InputError if `configs` is no folder.
    """
    if configs is not None and not Path(configs).is_dir():
        raise InputError(f"{configs} is not a folder", hint="--configs names a folder of config.json files")
    cluster = catalog.cluster(CLUSTER)
    columns = tuple(name for name in table.columns if name not in MEMORY_COLUMNS)
    rows = tuple(
        {name: row[name] for name in columns}
        | dict.fromkeys(MEMORY_COLUMNS, "")
        | _answer(row, table.broken.get(index), configs, catalog, registry, cluster)
        for index, row in enumerate(table.rows)
    )
    return Predicted((*columns, *MEMORY_COLUMNS), rows)


def _answer(
    row: Mapping[str, str],
    broken: str | None,
    configs: str | None,
    catalog: Catalog,
    registry: Registry,
    cluster: Cluster,
) -> dict[str, str]:
    try:
        return {"error": broken} if broken else _predict(row, configs, catalog, registry, cluster)
    except PlannerError as problem:
        return {"error": " ".join(str(problem).split())}
    except Exception as problem:  # a plugin that fails costs its rows, not the file
        return {"error": " ".join(f"cannot be evaluated: {type(problem).__name__}: {problem}".split())}


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
    evaluation = evaluated_step(row, configs, catalog, registry, cluster)
    peak = peak_of(evaluation)
    return {
        "predicted_peak_bytes": f"{float(peak.total[0]):.0f}",
        "predicted_saved_after_forward_bytes": f"{_saved_after_forward(evaluation):.0f}",
        "predicted_optstate_bytes": f"{_optimizer_states(evaluation):.0f}",
        "predicted_when_peak": REPORTED_INSTANT[INSTANTS[int(peak.instant[0])]],
    }


def evaluated_step(
    row: Mapping[str, str], configs: str | None, catalog: Catalog, registry: Registry, cluster: Cluster
) -> Evaluation:
    """The evaluation of one tracked step. Raises InputError and its children."""
    architecture = _architecture(row, configs, catalog, registry)
    question = _question(row, architecture, registry, cluster)
    return evaluate_mesh(question.context, _layout(row, question), question.rules)


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
    choices = all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes), tuple(rules.offloads))
    chosen = {choice.name: (wanted.get(choice.name, choice.values[0]),) for choice in choices}
    return make_layouts(derive(context, tuples), chosen).at(np.asarray([0]))


def _saved_after_forward(evaluation: Evaluation) -> float:
    memory, counts = evaluation.memory, evaluation.context.program.counts()
    saved = memory.activations
    blocks = [saved.embedding, *(layer.saved for layer in saved.layers), saved.head.saved]
    return float(np.asarray(over_model(counts, blocks)).reshape(-1)[0])


def _optimizer_states(evaluation: Evaluation) -> float:
    counts = evaluation.context.program.counts()
    total = over_model(counts, [block.optimizer for block in evaluation.memory.states])
    return float(np.asarray(total).reshape(-1)[0])
