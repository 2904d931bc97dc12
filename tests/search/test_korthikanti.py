"""Activations per layer of arXiv 2205.05198, table 2, for the paper's four models and five ways to keep them."""

from __future__ import annotations

import numpy as np
import pytest

from planner.domain.architecture import Architecture
from planner.domain.hardware import Cluster
from planner.question import RecipeNames, build_question
from planner.registry import load_registry
from planner.search.activations import Coefficients, bytes_on_rank, saved_tensors
from planner.search.dividing import region_divisors
from planner.search.space import all_choices, derive, make_layouts
from planner.synthetic import synthetic_context

REGISTRY = load_registry(disable="*")
SEQ_LEN, TENSOR_PARALLEL = 2048, 8
MODELS = {
    "22B": (64, 6144, 48, 4),
    "175B": (96, 12288, 96, 1),
    "530B": (128, 20480, 105, 1),
    "1T": (160, 25600, 128, 1),
}
"""Heads, hidden, layers, micro-batch: table 3 of the paper."""


def table_2(case: str, heads: int, hidden: int, batch: int) -> float:
    s, b, h, a, t = SEQ_LEN, batch, hidden, heads, TENSOR_PARALLEL
    return {
        "tensor": s * b * h * (10 + 24 / t + 5 * a * s / (h * t)),
        "tensor + sequence": s * b * h / t * (34 + 5 * a * s / h),
        "tensor + selective": s * b * h * (10 + 24 / t),
        "tensor + sequence + selective": s * b * h / t * 34,
        "full": s * b * h * 2,
    }[case]


def ours(case: str, heads: int, hidden: int, layers: int, batch: int) -> float:
    architecture = Architecture(
        slug="gpt", name="gpt", family="gpt", layers=layers, hidden=hidden, heads=heads, kv_heads=heads,
        head_dim=hidden // heads, ffn_hidden=4 * hidden, vocab=51200, gated=False, activation="gelu", norm="layernorm",
        position="learned", learned_positions=SEQ_LEN, tied_embeddings=True, qkv_bias=True, attention_out_bias=True,
        mlp_bias=True, dropout=True,
    )  # fmt: skip
    cluster: Cluster = synthetic_context().cluster
    names = RecipeNames(
        seq_len=SEQ_LEN, global_batch=batch, precision="fp16-mixed", attention="math", framework="megatron-core",
        checked=False,
    )  # fmt: skip
    question = build_question(REGISTRY, architecture, cluster, names)
    context, rules = question.context, question.rules
    degrees = {degree.name: np.ones(1) for strategy in rules.strategies for degree in strategy.degrees}
    degrees |= {"tp": np.asarray([float(TENSOR_PARALLEL)]), "micro_batch": np.asarray([float(batch)])}
    choices = all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes))
    wanted = {choice.name: (choice.values[0],) for choice in choices}
    wanted["sequence_parallel"] = (int("sequence" in case),)
    layouts = make_layouts(derive(context, degrees), wanted).at(np.asarray([0]))
    recompute = rules.recomputes["full" if case == "full" else "selective" if "selective" in case else "none"]
    kept = Coefficients.of(saved_tensors(context.program.kinds[0], recompute, context.framework, context.numerics))
    divisors = region_divisors(context, layouts, rules.strategies)
    return float(np.ravel(bytes_on_rank(context, layouts, kept, divisors))[0])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "case", ["tensor", "tensor + sequence", "tensor + selective", "tensor + sequence + selective", "full"]
)
def test_activations_per_layer_equal_the_paper_s_within_two_per_cent(model: str, case: str) -> None:
    heads, hidden, layers, batch = MODELS[model]
    assert ours(case, heads, hidden, layers, batch) == pytest.approx(table_2(case, heads, hidden, batch), rel=0.02)
