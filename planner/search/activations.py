"""Saved activations: from operators and implementations to bytes per token and region, then to bytes on a rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.plugin import (
    Block,
    Context,
    Footprint,
    Framework,
    Numerics,
    Operator,
    Recompute,
    Region,
    Stored,
    stored,
)

RegionDivisors = Mapping[Region, Array]
Growth = tuple[Region, int]
"""A region, and how a tensor there grows: 0 with the tokens, else with tokens × keys (capped at a window; -1: no cap)."""


def footprint(operator: Operator, framework: Framework, numerics: Numerics) -> Footprint:
    """What `framework` keeps for `operator`: by its kind, by the kind before the dot, else its inputs as they are."""
    kind = operator.kind
    function = framework.footprints.get(kind) or framework.footprints.get(kind.split(".")[0])
    if function is not None:
        return function(operator, numerics)
    return Footprint(saved=tuple(stored(tensor, numerics.activation_bytes) for tensor in operator.inputs))


def runs_again(operator: Operator, recompute: Recompute) -> bool:
    """Whether `recompute` runs `operator` a second time."""
    names = {operator.name, operator.kind, operator.kind.split(".")[0]}
    return recompute.whole_layer or not names.isdisjoint(recompute.operators)


def saved_tensors(block: Block, recompute: Recompute, framework: Framework, numerics: Numerics) -> tuple[Stored, ...]:
    """The distinct tensors that live from forward to backward, each once, however many operators keep it."""
    if recompute.whole_layer:
        return (stored(block.input, numerics.residual_bytes),)
    again = [operator for operator in block.operators if runs_again(operator, recompute)]
    produced = {tensor.name for operator in again for tensor in operator.outputs}
    dropped = produced if recompute.discards_outputs else set()
    kept: dict[str, Stored] = {}
    for operator in block.operators:
        if operator in again:
            continue
        for tensor in footprint(operator, framework, numerics).saved:
            if tensor.name not in dropped:
                kept.setdefault(tensor.name, tensor)
    for operator in again:
        for read in operator.inputs:
            if read.name not in produced:
                kept.setdefault(read.name, stored(read, numerics.activation_bytes))
    return tuple(kept.values())


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Bytes per token, by region and growth: all that memory needs to know of a set of tensors."""

    bytes_per_token: Mapping[Growth, float]

    @classmethod
    def of(cls, tensors: Iterable[Stored]) -> Coefficients:
        """The sum over `tensors`."""
        totals: dict[Growth, float] = {}
        for tensor in tensors:
            growth = (tensor.region, tensor.keys)
            totals[growth] = totals.get(growth, 0.0) + tensor.width * tensor.element_bytes
        return cls(totals)


def growth_tokens(context: Context, layouts: Layouts, growth: Growth, divisors: RegionDivisors) -> Array:
    """What one byte per token (and key) of this region comes to on a rank: tokens (× keys) ÷ the region's divisor."""
    region, keys = growth
    tokens = context.tokens(layouts) / divisors[region]
    if keys == 0:
        return tokens
    reach = context.job.seq_len if keys < 0 else min(keys, context.job.seq_len)
    return tokens * reach


def bytes_on_rank(context: Context, layouts: Layouts, coefficients: Coefficients, divisors: RegionDivisors) -> Array:
    """Bytes of one micro-batch on one rank."""
    total: Array = np.zeros(1)
    for growth, value in coefficients.bytes_per_token.items():
        total = total + value * growth_tokens(context, layouts, growth, divisors)
    return total


def chosen_bytes(
    context: Context, layouts: Layouts, axis: str, per_value: Sequence[Coefficients], divisors: RegionDivisors
) -> Array:
    """Bytes on a rank where the coefficients depend on choice `axis`: `per_value[i]` belongs to its i-th value."""
    total: Array = np.zeros(1)
    growths = dict.fromkeys(growth for coefficients in per_value for growth in coefficients.bytes_per_token)
    for growth in growths:
        values = [coefficients.bytes_per_token.get(growth, 0.0) for coefficients in per_value]
        total = total + layouts.choose(axis, values) * growth_tokens(context, layouts, growth, divisors)
    return total


def transient_tensors(operator: Operator, phase: str, framework: Framework, numerics: Numerics) -> tuple[Stored, ...]:
    """What is alive only while `operator` runs: its outputs in the ``forward``; in the ``backward`` the gradients of its
    outputs and inputs; and whatever its implementation adds."""
    extra = footprint(operator, framework, numerics)
    own = operator.outputs if phase == "forward" else (*operator.outputs, *operator.inputs)
    tensors = {tensor.name: stored(tensor, numerics.activation_bytes) for tensor in own}
    return (*tensors.values(), *(extra.forward if phase == "forward" else extra.backward))


def largest_transient(context: Context, layouts: Layouts, block: Block, phase: str, divisors: RegionDivisors) -> Array:
    """The largest transient of any operator of `block` [bytes on a rank]."""
    largest: Array = np.zeros(1)
    for operator in block.operators:
        tensors = transient_tensors(operator, phase, context.framework, context.numerics)
        largest = np.maximum(largest, bytes_on_rank(context, layouts, Coefficients.of(tensors), divisors))
    return largest


def difference(full: Coefficients, kept: Coefficients) -> Coefficients:
    """What is computed again: tensors of `full` that are not in `kept`, never below zero."""
    return Coefficients(
        {
            growth: max(0.0, value - kept.bytes_per_token.get(growth, 0.0))
            for growth, value in full.bytes_per_token.items()
        }
    )
