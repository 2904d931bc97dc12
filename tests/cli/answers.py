"""Answers made by hand, so that what is printed can be tested without computing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.domain.plan import (
    Assumption,
    EvaluateAnswer,
    Memory,
    NearestMiss,
    Plan,
    PlanAnswer,
    SearchSummary,
    Term,
)
from planner.units import GIB, SECONDS_PER_DAY

CAPACITY = 79.25 * GIB
LAYOUT: dict[str, Any] = {
    "tp": 1, "pp": 1, "vpp": 1, "cp": 1, "ep": 1, "etp": 1, "dp": 3, "zero": 1, "sequence_parallel": 0,
    "micro_batch": 1, "recompute": "selective", "schedule": "1f1b", "framework": "megatron-core",
}  # fmt: skip
PARTS = {
    "weights": 15.0 * GIB, "gradients": 29.9 * GIB, "optimizer": 29.9 / 3 * GIB, "activations": 11.5 * GIB,
    "other": 2.25 * GIB,
}  # fmt: skip
TIMES = {
    "forward": 11.0, "backward": 22.0, "recompute": 1.5, "tp": 0.0, "cp": 0.0, "ep": 0.0, "pp": 0.0, "dp": 0.75,
    "bubble": 0.0, "optimizer": 0.25, "other": 0.5,
}  # fmt: skip
TERMS = (
    Term(name="all weights", component="weights", value=15.0 * GIB, unit="bytes", formula="sum at instant backward",
         stage=0, instant="bwd"),
    Term(name="all activations", component="activations", value=11.5 * GIB, unit="bytes", stage=0, instant="bwd",
         formula="sum at instant backward"),
    Term(name="all weights", component="weights", value=15.0 * GIB, unit="bytes", formula="sum at instant optimizer",
         stage=0, instant="opt"),
    Term(name="qkv weight", component="weights", value=5.0 * GIB, unit="bytes", formula="β_w · N / t", stage=0,
         instant="bwd", plugin="strategy_tensor", source="FORMULAS section 2"),
    Term(name="mlp weights", component="weights", value=10.0 * GIB, unit="bytes", formula="β_w · N / t", stage=0,
         instant="bwd", plugin="strategy_tensor", source="FORMULAS section 2"),
    Term(name="saved attention output", component="activations", value=11.5 * GIB, unit="bytes", stage=0, instant="bwd",
         formula="s · b · h · 2 bytes for each of the layers of the stage", source="arXiv:2205.05198, equation 2"),
)  # fmt: skip


def make_plan(n_gpus: int = 3, **changes: Any) -> Plan:
    """A plan of the fixture's layout on `n_gpus` GPUs."""
    layout = {**LAYOUT, "dp": n_gpus, **changes.pop("layout", {})}
    memory = Memory(
        total_bytes=sum(PARTS.values()), capacity_bytes=changes.pop("capacity", CAPACITY),
        headroom_bytes=0.05 * CAPACITY, stage=0, when="bwd", components=PARTS,
    )  # fmt: skip
    figures: dict[str, Any] = {
        "step_time_s": sum(TIMES.values()), "step_time_components_s": TIMES, "mfu": 0.4567, "hfu": 0.48,
        "tokens_per_s": 3863.0 * n_gpus, "tokens_per_s_per_gpu": 3863.0, "duration_s": 120 * SECONDS_PER_DAY,
        "cost_usd": 12345.6, "energy_kwh": 4321.0, "memory_terms": TERMS, "time_terms": (),
    }  # fmt: skip
    return Plan(n_gpus=n_gpus, layout=layout, memory=memory, **(figures | changes))


def make_answer(**changes: Any) -> PlanAnswer:
    """An answered plan: 3 GPUs."""
    parts: dict[str, Any] = {
        "question": {"model": "llama-3-8b", "cluster": "a100-pool", "objective": "min-gpus"},
        "assumptions": (
            Assumption(name="precision", value="bf16-mixed", origin="default"),
            Assumption(name="global_batch", value=512, origin="default: 4,194,304 // seq_len"),
            Assumption(name="tokens", value=1.6e11, origin="default: 20 × active parameters (arXiv 2203.15556)"),
        ),
        "min_gpus": 3,
        "recommended": make_plan(3),
        "nearest_miss": None,
        "alternatives": (make_plan(3, layout={"recompute": "full"}), make_plan(4, cost_usd=None)),
        "scaling": tuple(make_plan(count) for count in range(3, 40)),
        "rejected": {"does not fit in memory": 123_456, "tp does not divide the heads": 42},
        "search": SearchSummary(layouts=130_000, feasible=6502, finer_layouts=0, elapsed_s=0.42),
        "rule_of_thumb": {
            "GPUs for training": {"value": 3.0, "unit": "GPUs", "formula": "8.03 · 18 · 1.25 / 80"},
            "training state": {"value": 128e9, "unit": "bytes", "formula": "(2 + 2 + 12) · N"},
        },
        "provenance": {"planner": "0.1.0", "catalog": "0001", "sources": ["https://example.com/datasheet"]},
        "why": "on 2 the leanest layout tried needs 81.2 GiB per GPU, of 76.0 GiB that may be used",
        "notes": ("llama3-7b is llama-3-8b: the model has 8.03 billion parameters.",),
    }
    return PlanAnswer(**(parts | changes))


def make_refusal() -> PlanAnswer:
    """A plan that does not fit, with its nearest miss."""
    miss = NearestMiss(
        layout=LAYOUT, n_gpus=8, stage=0, missing_bytes=12.5 * GIB, fix="recompute full, or 16 GPUs of the same kind"
    )
    return make_answer(min_gpus=None, recommended=None, nearest_miss=miss, alternatives=(), scaling=())


def make_evaluation(**changes: Any) -> EvaluateAnswer:
    """One configuration that fits."""
    parts: dict[str, Any] = {
        "question": {"model": "llama-3-8b", "cluster": "a100-pool"}, "assumptions": make_answer().assumptions,
        "plan": make_plan(8), "refusals": (), "params": 8_030_261_248, "provenance": {"planner": "0.1.0"}, "notes": (),
    }  # fmt: skip
    return EvaluateAnswer(**(parts | changes))


@dataclass(frozen=True)
class RunsFixture:
    """What `planner.api.evaluate_runs` returns."""

    columns: tuple[str, ...] = ("run", "gpu", "n_gpus", "predicted_step_time_s", "predicted_when_peak", "fits", "error")
    rows: tuple[dict[str, str], ...] = (
        {"run": "a", "gpu": "a100", "n_gpus": "8", "predicted_step_time_s": "1.5", "predicted_when_peak": "bwd",
         "fits": "1", "error": ""},
        {"run": "b", "gpu": "z9", "n_gpus": "8", "predicted_step_time_s": "", "predicted_when_peak": "", "fits": "",
         "error": "unknown accelerator 'z9'"},
    )  # fmt: skip


ESTIMATES: dict[str, Any] = {
    "schema": "planner.estimate/1",
    "items": [
        {"name": "weights in fp32", "value": 28e9, "unit": "bytes", "formula": "4 · N", "source": "the article",
         "note": ""},
        {"name": "GPUs for training", "value": 7.0, "unit": "GPUs", "formula": "N / 1e9 · 18 · 1.25 / memory",
         "source": "the article", "note": "rounded up"},
    ],
}  # fmt: skip
