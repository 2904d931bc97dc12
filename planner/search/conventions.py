"""How a model's FLOPs are counted: published MFU figures differ in this before they differ in speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from planner.plugin import Program

DEFAULT_CONVENTION: Final = "causal"
TRAINING_PASSES: Final = 3.0
"""Forward, input gradient, weight gradient: each as many FLOPs (FORMULAS section 4)."""
PARAMETER_FLOPS: Final = 6.0
"""Of one parameter and token in training: a multiplication and an addition in each pass (arXiv 2001.08361, section 2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """Whether every parameter counts six FLOPs per token, or the GEMMs and the head by their shapes; which share of attention
    counts: half of it under the causal mask, all, or none."""

    by_parameters: bool
    attention: str
    help: str
    source: str


CONVENTIONS: Final[Mapping[str, Convention]] = {
    "causal": Convention(
        by_parameters=False, attention="causal", help="GEMMs and head by shape, attention halved by the causal mask",
        source="NVIDIA/Megatron-LM, megatron/training/training.py, num_floating_point_operations; arXiv:2407.21783",
    ),
    "full": Convention(
        by_parameters=False, attention="full", help="GEMMs and head by shape, attention in full",
        source="arXiv:2104.04473, section 3.3; arXiv:2205.05198, appendix A",
    ),
    "palm": Convention(
        by_parameters=True, attention="full", help="six per active parameter, attention in full",
        source="arXiv:2204.02311, appendix B; mosaicml/llm-foundry, scripts/train/benchmarking",
    ),
    "6n": Convention(
        by_parameters=True, attention="none", help="six per active parameter, no attention", source="arXiv:2001.08361",
    ),
}  # fmt: skip


def model_flops_per_token(program: Program, seq_len: int, convention: str) -> float:
    """Training FLOPs per token of the model as `convention` counts them: no recomputation, active experts only."""
    rule = CONVENTIONS[convention]
    halved = TRAINING_PASSES * program.flops_per_token(seq_len)
    attention = TRAINING_PASSES * program.attention_flops_per_token(seq_len)
    full = TRAINING_PASSES * program.attention_flops_per_token(seq_len, causal=False)
    counted = {"causal": attention, "full": full, "none": 0.0}[rule.attention]
    if rule.by_parameters:
        return PARAMETER_FLOPS * program.active_params + counted
    return halved - attention + counted
