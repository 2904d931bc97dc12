"""From hyper-parameters to a program: embedding, the distinct kinds of layers, head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from planner.domain.architecture import Architecture
from planner.errors import InputError, UnknownNameError
from planner.program.construction import hidden_norm_vectors, norm_kind, pointwise
from planner.program.ends import embedding_block, head_block
from planner.program.operators import Operator
from planner.program.parameters import ParameterGroup
from planner.program.program import Block, Program
from planner.program.tensors import Region, Tensor

if TYPE_CHECKING:
    from planner.records.models import Sublayer, SublayerParts

ROUTED_SUBLAYER: Final = "moe"
"""The feed-forward of the layers that `Architecture.moe` declares routed."""


class Kind(NamedTuple):
    """What tells layers of one architecture apart."""

    routed: bool
    windowed: bool


class Step(NamedTuple):
    """One sublayer in place: its norms, itself, and the tensor that goes back to the residual stream."""

    operators: tuple[Operator, ...]
    parameters: tuple[ParameterGroup, ...]
    output: Tensor


def assemble(architecture: Architecture, sublayers: Mapping[str, Sublayer]) -> Program:
    """The program of `architecture`, built from the registered `sublayers`. Raises UnknownNameError and InputError."""
    every = range(architecture.layers)
    kinds = [Kind(architecture.is_routed(layer), architecture.is_windowed(layer)) for layer in every]
    distinct = list(dict.fromkeys(kinds))
    blocks = tuple(
        layer_block(architecture, sublayers, kinds.index(kind), block_name(kind, distinct)) for kind in distinct
    )
    layers = tuple(distinct.index(kind) for kind in kinds)
    return Program(
        architecture=architecture,
        embedding=embedding_block(architecture),
        kinds=blocks,
        layers=layers,
        head=head_block(architecture, blocks[layers[-1]]),
    )


def block_name(kind: Kind, distinct: list[Kind]) -> str:
    """``dense`` or ``routed``, and where windowed and full layers mix, which of them."""
    name = "routed" if kind.routed else "dense"
    if len({other.windowed for other in distinct}) == 1:
        return name
    return f"{name}-{'windowed' if kind.windowed else 'full'}"


def sublayer_parts(
    architecture: Architecture, sublayers: Mapping[str, Sublayer], name: str, layer: int, source: Tensor
) -> SublayerParts:
    """What the sublayer `name` is made of in this layer. Raises UnknownNameError."""
    if name not in sublayers:
        raise UnknownNameError("sublayer", name, sublayers)
    return sublayers[name].build(architecture, layer, source)


def layer_block(architecture: Architecture, sublayers: Mapping[str, Sublayer], layer: int, name: str) -> Block:
    """One layer: mixer and feed-forward with their norms and residual additions."""
    check_norms(architecture)
    stream = Tensor("layer.input", architecture.hidden, Region.RESIDUAL)
    feed_forward = ROUTED_SUBLAYER if architecture.is_routed(layer) else architecture.feed_forward

    def step(place: str, sublayer: str, source: Tensor, norm: Tensor | None = None) -> Step:
        normed = Tensor(f"{place}.norm_out", architecture.hidden, Region.RESIDUAL) if norm is None else norm
        parts = sublayer_parts(architecture, sublayers, sublayer, layer, normed)
        return in_place(architecture, place, source, normed, parts, shares_norm=norm is not None)

    mixer = step("mixer", architecture.mixer, stream)
    output = Tensor("layer.output", architecture.hidden, Region.RESIDUAL)
    if architecture.parallel_residual:
        shared = Tensor("mixer.norm_out", architecture.hidden, Region.RESIDUAL)
        other = step("feed_forward", feed_forward, stream, shared if architecture.norms_per_layer == 1 else None)
        joins = [pointwise("layer.residual", "residual", stream, mixer.output, other.output, target=output)]
        operators = (*mixer.operators, *other.operators, *joins)
    else:
        middle = Tensor("layer.middle", architecture.hidden, Region.RESIDUAL)
        other = step("feed_forward", feed_forward, middle)
        first = pointwise("mixer.residual", "residual", stream, mixer.output, target=middle)
        second = pointwise("feed_forward.residual", "residual", middle, other.output, target=output)
        operators = (*mixer.operators, first, *other.operators, second)
    return Block(name=name, input=stream, operators=operators, parameters=(*mixer.parameters, *other.parameters))


def check_norms(architecture: Architecture) -> None:
    """Two norms a layer (one shared by parallel branches), or four: before and after each sublayer."""
    branches, allowed = ("parallel", (1, 2)) if architecture.parallel_residual else ("sequential", (2, 4))
    if architecture.norms_per_layer not in allowed:
        raise InputError(
            f"{architecture.slug}: norms_per_layer is {architecture.norms_per_layer}; layers with {branches} branches"
            f" have {allowed[0]} or {allowed[1]}"
        )


def in_place(
    architecture: Architecture, place: str, source: Tensor, normed: Tensor, parts: SublayerParts, *, shares_norm: bool
) -> Step:
    """A sublayer between its norms, with dropout on its output where the architecture has it."""
    kind = norm_kind(architecture)
    operators: list[Operator] = []
    parameters: list[ParameterGroup] = []
    if not shares_norm:
        operators.append(pointwise(f"{place}.norm", kind, source, target=normed))
        parameters += hidden_norm_vectors(architecture, f"{place}.norm")
    operators += parts.operators
    parameters += parts.parameters
    # Once a row-parallel GEMM's partial sums are added up, its output lives in the residual stream's region.
    output = Tensor(parts.output.name, parts.output.width, Region.RESIDUAL)
    for operator, target in after_sublayer(architecture, place, output, kind):
        operators.append(operator)
        output = target
    if architecture.norms_per_layer == 4:
        parameters += hidden_norm_vectors(architecture, f"{place}.post_norm")
    return Step(tuple(operators), tuple(parameters), output)


def after_sublayer(
    architecture: Architecture, place: str, output: Tensor, kind: str
) -> Iterator[tuple[Operator, Tensor]]:
    """The norm and the dropout between a sublayer and the residual addition, each with the tensor that it writes."""
    if architecture.norms_per_layer == 4:
        normed = Tensor(f"{place}.post_norm_out", architecture.hidden, Region.RESIDUAL)
        yield pointwise(f"{place}.post_norm", kind, output, target=normed), normed
        output = normed
    if architecture.dropout:
        dropped = Tensor(f"{place}.dropped", architecture.hidden, Region.RESIDUAL)
        yield pointwise(f"{place}.dropout", "dropout", output, target=dropped), dropped
