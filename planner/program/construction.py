"""Operators and parameter groups that most sublayers are made of: GEMMs from one tensor to another, norms, biases."""

from __future__ import annotations

from planner.domain.architecture import Architecture
from planner.program.operators import Linear, Pointwise
from planner.program.parameters import Axis, Dimension, ParameterGroup, Part, vector
from planner.program.tensors import Tensor


def linear(name: str, source: Tensor, *targets: Tensor, kind: str = "linear") -> Linear:
    """A GEMM from `source` to `targets`, whose widths add up to its output features."""
    return Linear(
        name=name, kind=kind, inputs=(source,), outputs=targets, in_features=source.width,
        out_features=sum(target.width for target in targets),
    )  # fmt: skip


def pointwise(name: str, kind: str, *sources: Tensor, target: Tensor) -> Pointwise:
    """An elementwise operator from `sources` to `target`."""
    return Pointwise(name=name, kind=kind, inputs=sources, outputs=(target,))


def bias(name: str, *dimensions: Dimension) -> ParameterGroup:
    """A bias vector whose length is the product of `dimensions`."""
    return vector(name, *dimensions, part=Part.BIAS)


def norm_kind(architecture: Architecture) -> str:
    """The operator kind of the architecture's norms.

    Gemma multiplies by 1 + weight in float32, which keeps other tensors than the plain RMSNorm does; no hyper-parameter
    tells, so the family does.
    """
    if architecture.norm != "rmsnorm":
        return "norm.layernorm"
    return "norm.rmsnorm_gemma" if architecture.family.lower().startswith("gemma") else "norm.rmsnorm"


def norm_vectors(
    architecture: Architecture, name: str, *dimensions: Dimension, biased: bool = True
) -> tuple[ParameterGroup, ...]:
    """The parameters of a norm over `dimensions`: none, a weight, or both weight and bias (LayerNorm)."""
    if architecture.norm == "nonparametric":
        return ()
    weight = vector(name, *dimensions)
    if architecture.norm == "layernorm" and biased:
        return (weight, vector(f"{name}.bias", *dimensions))
    return (weight,)


def hidden_norm_vectors(architecture: Architecture, name: str) -> tuple[ParameterGroup, ...]:
    """The parameters of a norm over the residual stream."""
    return norm_vectors(architecture, name, (Axis.NORM, architecture.hidden))
