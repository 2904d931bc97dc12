"""Footprints that many implementations share: building blocks for `planner.plugin.Framework.footprints`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.program.operators import Operator
from planner.program.tensors import Footprint, Region, Stored, Tensor

if TYPE_CHECKING:
    from planner.records.frameworks import Numerics

FLOAT32_BYTES = 4.0


def stored(tensor: Tensor, element_bytes: float) -> Stored:
    """`tensor` kept with `element_bytes` per element, under its own name."""
    return Stored(tensor.name, tensor.width, tensor.region, element_bytes, -1 if tensor.per_key else 0)


def keep_inputs(operator: Operator, numerics: Numerics) -> Footprint:
    """The inputs stay in the activation format."""
    return Footprint(saved=tuple(stored(tensor, numerics.activation_bytes) for tensor in operator.inputs))


def keep_nothing(_operator: Operator, _numerics: Numerics) -> Footprint:
    """The backward needs nothing of the forward (residual additions, rotations, gathers)."""
    return Footprint()


def fused_norm(operator: Operator, numerics: Numerics) -> Footprint:
    """A fused norm keeps its input and its float32 statistics per token: one for RMSNorm, two for LayerNorm."""
    statistics = 2.0 if operator.kind == "norm.layernorm" else 1.0
    source = operator.inputs[0]
    kept = Stored(f"{operator.name}.statistics", statistics, source.region, FLOAT32_BYTES)
    return Footprint(saved=(stored(source, numerics.activation_bytes), kept))


def keep_router_scores(operator: Operator, numerics: Numerics) -> Footprint:
    """A router keeps its input, and float32 logits and probabilities (FORMULAS section 3.4)."""
    width = sum(tensor.width for tensor in operator.outputs)
    scores = Stored(f"{operator.name}.scores", 2 * width, Region.ROUTING, FLOAT32_BYTES)
    return Footprint(saved=(*keep_inputs(operator, numerics).saved, scores))
