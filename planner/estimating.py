"""The rules of thumb: closed forms of a model, a GPU and tokens, alone or beside the search's answer."""

from __future__ import annotations

from typing import Any

from planner.domain.architecture import Architecture
from planner.domain.hardware import Accelerator
from planner.errors import InputError
from planner.plugin import EstimateInput
from planner.program.assemble import assemble
from planner.question import Question
from planner.registry import Registry


def answer_estimate(
    registry: Registry,
    architecture: Architecture | None,
    params: float | None,
    accelerator: Accelerator | None,
    seq_len: int | None,
    micro_batch: int,
    tokens: float | None,
) -> dict[str, Any]:
    """Every rule of thumb that the given values are enough for."""
    known = _estimate_input(registry, architecture, params, accelerator, seq_len, micro_batch, tokens)
    if not 0 < known.params < float("inf"):
        raise InputError(f"the parameter count must be positive, not {known.params}")
    items = [
        {
            "name": item.name, "value": item.value, "unit": item.unit, "formula": item.formula, "source": item.source,
            "note": item.note,
        }
        for estimator in registry.estimators.values()
        for item in estimator.estimates(known)
    ]  # fmt: skip
    return {
        "schema": "planner.estimate/1",
        "params": known.params,
        "model": None if architecture is None else architecture.slug,
        "gpu": None if accelerator is None else accelerator.slug,
        "items": items,
    }


def _estimate_input(
    registry: Registry,
    architecture: Architecture | None,
    params: float | None,
    accelerator: Accelerator | None,
    seq_len: int | None,
    micro_batch: int,
    tokens: float | None,
) -> EstimateInput:
    memory = None if accelerator is None else float(accelerator.capacity_bytes)
    if architecture is None:
        assert params is not None  # the caller checks that one of the two is given
        return EstimateInput(
            params=params, gpu_memory_bytes=memory, seq_len=seq_len, micro_batch=micro_batch, tokens=tokens
        )
    total = float(assemble(architecture, registry.sublayers).total_params)
    length = seq_len or min(architecture.max_seq_len or 2048, 8192)
    return EstimateInput(
        params=total, gpu_memory_bytes=memory, layers=architecture.layers, hidden=architecture.hidden,
        heads=architecture.heads, seq_len=length, micro_batch=micro_batch, tokens=tokens,
    )  # fmt: skip


def rule_of_thumb(registry: Registry, question: Question) -> dict[str, Any]:
    """The closed forms for the same model and GPU, to set beside the search's answer."""
    context = question.context
    document = answer_estimate(
        registry, context.architecture, None, context.cluster.accelerator, context.job.seq_len, 1, context.job.tokens
    )
    return {
        item["name"]: {"value": item["value"], "unit": item["unit"], "formula": item["formula"]}
        for item in document["items"]
    }
