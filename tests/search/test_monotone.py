"""More sharding never costs memory: every axis, whole peaks, tensors alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from search.meshes import context, evaluated, number

from planner.validation.memory import tensors_only

AXES = {
    "tp": {"sequence_parallel": 1}, "cp": {}, "pp": {}, "ep": {"dp": 8},
    "dp": {"zero": 1}, "shard_group": {"dp": 64, "zero": 3},
}  # fmt: skip
"""etp is not among them: it divides an expert's matrices, and gathers the tokens for them (FORMULAS section 3.4)."""
STAGES = {"megatron-core": 1, "deepspeed": 3, "torchtitan": 3, "transformers": 0, "llm-foundry": 3}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("framework", STAGES)
def test_peaks_fall_along_every_axis(framework: str, axis: str) -> None:
    of = context(framework, global_batch=512)
    of = replace(of, framework=tensors_only(of.framework))
    given = {"zero": STAGES[framework]} | AXES[axis]
    if axis == "dp":
        given["zero"] = max(1, STAGES[framework])
    if STAGES[framework] == 0 and axis == "shard_group":
        given["zero"] = 1
    degrees = (2, 4, 8) if axis in ("dp", "shard_group") else (1, 2, 4)
    peaks = [number(evaluated(of, **(given | {axis: degree})).peak_bytes) for degree in degrees]
    assert peaks == sorted(peaks, reverse=True), peaks


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
@pytest.mark.parametrize("framework", STAGES)
def test_recomputing_more_never_takes_more_memory(framework: str, recompute: str) -> None:
    of = context(framework, global_batch=8)
    order = ("none", "selective", "full")
    peaks = [
        number(evaluated(of, recompute=each, micro_batch=4).peak_bytes) for each in order[order.index(recompute) :]
    ]
    assert peaks == sorted(peaks, reverse=True)
