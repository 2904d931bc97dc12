"""A table of training runs, one exact configuration per row: read as CSV, a row parsed into a `RunRow`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from planner.domain.hardware import UNMEASURED, BusBandwidths
from planner.errors import InputError
from planner.importers import run_cells as cells
from planner.importers.csv_table import CsvTable, read_table, shown_path
from planner.importers.run_cells import PeakKind, Sharding, Tuning, Worded

DEGREES: Final = ("tp", "pp", "vpp", "dp", "cp", "ep", "etp", "recompute_layers")
EXPERT_COUNTS: Final = frozenset({"n_experts", "topk", "expert_ffn"})
SHAPE_COUNTS: Final = (
    "layers", "hidden", "heads", "kv_heads", "ffn_hidden", "vocab", "n_experts", "topk", "expert_ffn",
)  # fmt: skip
METHOD_WORDS: Final[Mapping[str, str]] = {"lora": "lora", "qlora": "qlora", "sft": "full"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The names that plugins registered, which cells may use beside the usual spellings."""

    precisions: Collection[str] = ()
    optimizers: Collection[str] = ()
    recomputes: Collection[str] = ()
    offloads: Collection[str] = ()
    schedules: Collection[str] = ()
    methods: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One configuration as its row states it; None is what the row leaves open.

    `shape` holds the counts of `SHAPE_COUNTS` that the row gives. `offload` is what is kept in the host's memory.
    """

    model_name: str | None = None
    shape: Mapping[str, int] = field(default_factory=dict)
    gated: bool | None = None
    tied: bool | None = None
    gpu_slug: str | None = None
    gpu: str | None = None
    gpu_memory_gb: float | None = None
    n_gpus: int
    gpus_per_node: int | None = None
    network_bytes_per_s: float | None = None
    bus_bandwidths: BusBandwidths = UNMEASURED
    degrees: Mapping[str, int] = field(default_factory=dict)
    sequence_parallel: bool | None = None
    sharding: Sharding | None = None
    micro_batch: int | None = None
    global_batch: int | None = None
    seq_len: int | None = None
    recompute: Worded | None = None
    precision: str | None = None
    flash_attention: bool | None = None
    optimizer: Worded | None = None
    offload: Worded | None = None
    schedule: str | None = None
    method: Tuning | None = None
    framework: str | None = None
    recipes: str | None = None
    compiled: bool = False
    peak_kind: PeakKind = field(default_factory=PeakKind)


def read_runs(path: str) -> CsvTable:
    """The rows of a CSV file; ``-`` is standard input. Raises InputError for what is no such file."""
    table = read_table(path)
    missing = []
    if not {"gpu", "gpu_slug"} & set(table.columns):
        missing.append("gpu (or gpu_slug)")
    if "n_gpus" not in table.columns:
        missing.append("n_gpus")
    if missing:
        raise InputError(
            f"{shown_path(path)} has no column {' and no column '.join(missing)}",
            hint="the first line must name comma-separated columns such as model_name, gpu, n_gpus, tp, pp, seq_len",
        )
    return table


def parse_row(cell: Mapping[str, str], vocabulary: Vocabulary) -> RunRow:
    """One row as values. Raises InputError that names the column."""
    n_gpus = cells.whole("n_gpus", cell.get("n_gpus"))
    if n_gpus is None:
        raise InputError("n_gpus: not given")
    # First, because a method that is not known makes every other cell of the row mean something else.
    method = cells.method(cell.get("finetune_method"), vocabulary.methods) or _method_elsewhere(cell, vocabulary)
    method = cells.on_quantised_base(method, cell.get("precision"))
    sharding = cells.sharding(cell.get("zero_stage_or_fsdp"))
    optimizer = cells.optimizer(cell.get("optimizer"), vocabulary.optimizers)
    offload = cells.offload(cell.get("offload"), registered=vocabulary.offloads)
    if offload is None or offload.name == cells.NOT_OFFLOADED:
        offload = _offload_elsewhere(cell, sharding, optimizer) or offload
    return RunRow(
        model_name=cells.text_or_none(cell.get("model_name")),
        shape=_noted(cell) | _counts(cell, SHAPE_COUNTS),
        gated=cells.flag("gated_mlp", cell.get("gated_mlp")),
        tied=cells.tied(cell.get("note")),
        gpu_slug=cells.text_or_none(cell.get("gpu_slug")),
        gpu=cells.text_or_none(cell.get("gpu")),
        gpu_memory_gb=cells.number("gpu_mem_gb", cell.get("gpu_mem_gb")),
        n_gpus=n_gpus,
        gpus_per_node=cells.whole("gpus_per_node", cell.get("gpus_per_node")),
        network_bytes_per_s=cells.network_bytes_per_s(cell.get("interconnect_note")),
        bus_bandwidths=cells.bus_bandwidths(cell.get("source")),
        degrees=_counts(cell, DEGREES),
        sequence_parallel=cells.flag("sequence_parallel", cell.get("sequence_parallel")),
        sharding=sharding,
        micro_batch=cells.whole("micro_batch", cell.get("micro_batch")),
        global_batch=cells.whole("global_batch", cell.get("global_batch")),
        seq_len=cells.whole("seq_len", cell.get("seq_len")),
        recompute=cells.recompute(cell.get("recompute"), vocabulary.recomputes),
        precision=cells.precision(cell.get("precision"), vocabulary.precisions),
        flash_attention=cells.flag("flash_attention", cell.get("flash_attention")),
        optimizer=optimizer,
        offload=offload,
        schedule=cells.registered("schedule", cell.get("schedule"), vocabulary.schedules),
        method=method,
        framework=cells.framework(cell.get("framework_slug"), cell.get("framework")),
        compiled=cells.compiled(cell.get("framework"), cell.get("note")),
        recipes=cells.recipes(cell.get("framework_slug"), cell.get("framework")),
        peak_kind=cells.peak_kind(cell.get("peak_mem_unit"), cell.get("source")),
    )


def _noted(cell: Mapping[str, str]) -> dict[str, int]:
    """What the note says of the shape; a cell of its own says it better."""
    vocabulary = cells.vocabulary(cell.get("note"))
    return {} if vocabulary is None else {"vocab": vocabulary}


def _counts(cell: Mapping[str, str], names: tuple[str, ...]) -> dict[str, int]:
    found = {name: cells.whole(name, cell.get(name), least=0 if name in EXPERT_COUNTS else 1) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _offload_elsewhere(cell: Mapping[str, str], sharding: Sharding | None, optimizer: Worded | None) -> Worded | None:
    """What the ZeRO and optimizer columns say about offloading in passing; the latter means the optimizer's states."""
    if sharding is not None and sharding.offloads:
        return cells.offload(cell.get("zero_stage_or_fsdp"), "zero_stage_or_fsdp")
    if optimizer is not None and "offload" in optimizer.qualifier.casefold():
        return Worded("optimizer", f"{optimizer.qualifier}, as optimizer says")
    return None


def _method_elsewhere(cell: Mapping[str, str], vocabulary: Vocabulary) -> Tuning | None:
    """The method that the names of model or framework carry (``Llama 2 70B LoRA``), where the column is silent."""
    for column in ("model_name", "framework"):
        for word in (cell.get(column) or "").casefold().replace("(", " ").split():
            if word in METHOD_WORDS:
                found = cells.method(METHOD_WORDS[word], vocabulary.methods)
                return None if found is None else Tuning(found.name, None, f"as {column} says")
    return None
