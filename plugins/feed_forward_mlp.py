"""Dense feed-forward: two matrices around an activation, or three with a gate.

Sources: arXiv 1706.03762, section 3.3; arXiv 2002.05202 (gated variants).
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import (
    Architecture,
    Axis,
    Operator,
    ParameterGroup,
    Region,
    Sublayer,
    SublayerParts,
    Tensor,
    bias,
    hookimpl,
    linear,
    matrix,
    pointwise,
)


def feed_forward(architecture: Architecture, _layer: int, source: Tensor) -> SublayerParts:
    """Up (and gate), activation, down."""
    width = architecture.ffn_hidden
    up = Tensor("mlp.up", width, Region.INTERIOR)
    output = Tensor("mlp.output", architecture.hidden, Region.GATHERED)
    operators: list[Operator] = []
    if architecture.gated:
        gate = Tensor("mlp.gate", width, Region.INTERIOR)
        inner = Tensor("mlp.product", width, Region.INTERIOR)
        operators += [linear("mlp.gate", source, gate), linear("mlp.up", source, up)]
        kind = f"gated_activation.{architecture.activation}"
        operators.append(pointwise("mlp.activation", kind, gate, up, target=inner))
    else:
        inner = Tensor("mlp.activated", width, Region.INTERIOR)
        operators.append(linear("mlp.up", source, up))
        operators.append(pointwise("mlp.activation", f"activation.{architecture.activation}", up, target=inner))
    operators.append(linear("mlp.down", inner, output))
    return SublayerParts(operators=tuple(operators), parameters=tuple(parameters(architecture)), output=output)


def parameters(architecture: Architecture) -> Iterator[ParameterGroup]:
    """The matrices and, where the architecture has them, their biases."""
    embed, mlp = (Axis.EMBED, architecture.hidden), (Axis.MLP, architecture.ffn_hidden)
    for name in ("gate", "up") if architecture.gated else ("up",):
        yield matrix(f"mlp.{name}", mlp, embed)
        if architecture.mlp_bias:
            yield bias(f"mlp.{name}.bias", mlp)
    yield matrix("mlp.down", embed, mlp)
    if architecture.mlp_bias:
        yield bias("mlp.down.bias", embed)


@hookimpl
def planner_sublayers() -> Iterator[Sublayer]:
    """The dense feed-forward, gated or plain."""
    yield Sublayer(name="mlp", build=feed_forward, source="arXiv:1706.03762, section 3.3; arXiv:2002.05202")
