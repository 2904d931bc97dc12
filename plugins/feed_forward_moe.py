"""Routed feed-forward: a router sends each token to its top-k experts; shared experts see every token.

Sources: arXiv 2101.03961; arXiv 2401.04088 (Mixtral); arXiv 2401.06066 (fine-grained and shared experts, DeepSeekMoE).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from planner.plugin import (
    Architecture,
    Axis,
    InputError,
    Linear,
    MixtureOfExperts,
    Operator,
    ParameterGroup,
    Part,
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


def mixture(architecture: Architecture) -> MixtureOfExperts:
    """The experts, which an architecture with routed layers must have."""
    if architecture.moe is None:
        raise InputError(f"{architecture.slug} has the feed-forward 'moe' but no experts")
    return architecture.moe


def feed_forward(architecture: Architecture, _layer: int, source: Tensor) -> SublayerParts:
    """Router, dispatch, grouped experts, combination; beside them the shared experts."""
    moe, hidden = mixture(architecture), architecture.hidden
    logits = Tensor("router.logits", moe.experts, Region.ROUTING)
    dispatched = Tensor("experts.input", moe.topk * hidden, Region.DISPATCHED)
    returned = Tensor("experts.output", moe.topk * hidden, Region.DISPATCHED)
    combined = Tensor("moe.combined", hidden, Region.RESIDUAL)
    operators = [
        replace(linear("router", source, logits, kind="router"), float32=moe.router_float32),
        pointwise("experts.dispatch", "dispatch", source, target=dispatched),
        *experts(architecture, dispatched, returned),
        pointwise("experts.combine", "combine", returned, target=combined),
    ]
    output = combined
    if moe.shared_ffn:
        shared, visited = shared_experts(architecture, source)
        output = Tensor("moe.output", hidden, Region.RESIDUAL)
        operators += [*shared, pointwise("moe.sum", "residual", combined, visited, target=output)]
    return SublayerParts(operators=tuple(operators), parameters=tuple(parameters(architecture)), output=output)


def experts(architecture: Architecture, source: Tensor, output: Tensor) -> Iterator[Operator]:
    """Grouped GEMMs over the dispatched copies of the tokens; widths count all top-k copies."""
    moe, width = mixture(architecture), mixture(architecture).topk * mixture(architecture).expert_ffn

    def grouped(name: str, read: Tensor, written: Tensor) -> Linear:
        return Linear(
            name=name, kind="expert_linear", inputs=(read,), outputs=(written,), in_features=read.width // moe.topk,
            out_features=written.width // moe.topk, experts=moe.experts, topk=moe.topk,
        )  # fmt: skip

    up = Tensor("experts.up", width, Region.EXPERT_INTERIOR)
    inner = Tensor("experts.product", width, Region.EXPERT_INTERIOR)
    if architecture.gated:
        gate = Tensor("experts.gate", width, Region.EXPERT_INTERIOR)
        yield grouped("experts.gate", source, gate)
        yield grouped("experts.up", source, up)
        yield pointwise("experts.activation", f"gated_activation.{architecture.activation}", gate, up, target=inner)
    else:
        yield grouped("experts.up", source, up)
        yield pointwise("experts.activation", f"activation.{architecture.activation}", up, target=inner)
    if not moe.expert_bias:
        yield grouped("experts.down", inner, output)
        return
    product = Tensor("experts.down_product", output.width, Region.DISPATCHED)
    yield grouped("experts.down", inner, product)
    yield pointwise("experts.down_bias", "residual.expert_bias", product, target=output)


def shared_experts(architecture: Architecture, source: Tensor) -> tuple[list[Operator], Tensor]:
    """A dense feed-forward of the shared experts' total width, scaled by a gate of its own where there is one."""
    moe, hidden = mixture(architecture), architecture.hidden
    up = Tensor("shared_experts.up", moe.shared_ffn, Region.INTERIOR)
    inner = Tensor("shared_experts.product", moe.shared_ffn, Region.INTERIOR)
    output = Tensor("shared_experts.output", hidden, Region.GATHERED)
    operators: list[Operator] = []
    if architecture.gated:
        gate = Tensor("shared_experts.gate", moe.shared_ffn, Region.INTERIOR)
        kind = f"gated_activation.{architecture.activation}"
        operators += [linear("shared_experts.gate", source, gate), linear("shared_experts.up", source, up)]
        operators.append(pointwise("shared_experts.activation", kind, gate, up, target=inner))
    else:
        operators.append(linear("shared_experts.up", source, up))
        kind = f"activation.{architecture.activation}"
        operators.append(pointwise("shared_experts.activation", kind, up, target=inner))
    operators.append(linear("shared_experts.down", inner, output))
    if not moe.shared_gate:
        return operators, output
    share = Tensor("shared_gate.logit", 1, Region.RESIDUAL)
    weighted = Tensor("shared_gate.output", hidden, Region.RESIDUAL)
    operators.append(linear("shared_gate", source, share))
    reduced = Tensor(output.name, hidden, Region.RESIDUAL)
    operators.append(pointwise("shared_gate.activation", "gated_activation.sigmoid", share, reduced, target=weighted))
    return operators, weighted


def parameters(architecture: Architecture) -> Iterator[ParameterGroup]:
    """The router is whole on every rank; experts are stacked; shared experts are dense matrices."""
    moe, embed = mixture(architecture), (Axis.EMBED, architecture.hidden)
    routes, width, stack = (Axis.ROUTES, moe.experts), (Axis.EXPERT_MLP, moe.expert_ffn), ((Axis.EXPERTS, moe.experts),)
    yield matrix("router", routes, embed)
    if moe.router_bias:
        yield bias("router.bias", routes)
    for name in ("gate", "up", "down") if architecture.gated else ("up", "down"):
        rows, columns = (embed, width) if name == "down" else (width, embed)
        yield ParameterGroup(name=f"experts.{name}", part=Part.MATRIX, rows=(rows,), columns=(columns,), stack=stack)
        if moe.expert_bias:
            yield ParameterGroup(name=f"experts.{name}.bias", part=Part.BIAS, columns=(rows,), stack=stack)
    if moe.shared_ffn:
        yield from shared_parameters(architecture, moe)


def shared_parameters(architecture: Architecture, moe: MixtureOfExperts) -> Iterator[ParameterGroup]:
    """The shared experts' matrices and their gate."""
    embed, mlp = (Axis.EMBED, architecture.hidden), (Axis.MLP, moe.shared_ffn)
    for name in ("gate", "up") if architecture.gated else ("up",):
        yield matrix(f"shared_experts.{name}", mlp, embed)
    yield matrix("shared_experts.down", embed, mlp)
    if moe.shared_gate:
        yield matrix("shared_gate", (Axis.ROUTES, 1), embed)


@hookimpl
def planner_sublayers() -> Iterator[Sublayer]:
    """The routed feed-forward."""
    yield Sublayer(name="moe", build=feed_forward, source="arXiv:2101.03961; arXiv:2401.04088; arXiv:2401.06066")
