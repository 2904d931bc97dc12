"""The two ends of a program: what turns tokens into the residual stream, and the residual stream into a loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from planner.domain.architecture import Architecture
from planner.program.construction import bias, hidden_norm_vectors, linear, norm_kind, pointwise
from planner.program.operators import Operator, Pointwise
from planner.program.parameters import Axis, ParameterGroup, Part, matrix
from planner.program.program import Block
from planner.program.tensors import Region, Tensor


def embedding_width(architecture: Architecture) -> int:
    """Columns of the token embedding: the residual stream's, unless the architecture names fewer."""
    return architecture.embedding_width or architecture.hidden


def embedding_block(architecture: Architecture) -> Block:
    """Token embedding, projection of narrow embeddings, learned positions, norm, dropout."""
    hidden, narrow = architecture.hidden, embedding_width(architecture)
    stream = Tensor("embedding.tokens", narrow, Region.RESIDUAL)
    # A gather reads indices, not activations: what full recomputation keeps of this block is what it writes.
    operators: list[Operator] = [Pointwise(name="embedding.lookup", kind="embedding", inputs=(), outputs=(stream,))]
    steps: list[tuple[str, str]] = []
    if architecture.learned_positions:
        steps.append(("embedding.positions", "residual"))
    if architecture.embedding_norm:
        steps.append(("embedding.norm", norm_kind(architecture)))
    if architecture.dropout:
        steps.append(("embedding.dropout", "dropout"))
    if narrow != hidden:
        widened = Tensor("embedding.widened", hidden, Region.RESIDUAL)
        operators.append(linear("embedding.widen", stream, widened))
        stream = widened
    for name, kind in steps:
        target = Tensor(f"{name}_out", hidden, Region.RESIDUAL)
        operators.append(pointwise(name, kind, stream, target=target))
        stream = target
    parameters = tuple(embedding_parameters(architecture))
    return Block(name="embedding", input=stream, operators=tuple(operators), parameters=parameters)


def embedding_parameters(architecture: Architecture) -> Iterator[ParameterGroup]:
    """The tables, and what stands between them and the first layer."""
    vocabulary, embed = (Axis.VOCAB, architecture.vocab), (Axis.EMBED, architecture.hidden)
    narrow = (Axis.EMBED, embedding_width(architecture))
    yield matrix("token_embedding", vocabulary, narrow, part=Part.EMBEDDING)
    if narrow != embed:
        yield matrix("embedding.widen", embed, narrow)
    if architecture.learned_positions:
        positions = (Axis.POSITIONS, architecture.learned_positions)
        yield matrix("position_embedding", positions, embed, part=Part.EMBEDDING)
    if architecture.embedding_norm:
        yield from hidden_norm_vectors(architecture, "embedding.norm")


def head_block(architecture: Architecture, last_layer: Block) -> Block:
    """Final norm, output projection and loss, then the same once more for each multi-token prediction layer."""
    stream = Tensor("head.input", architecture.hidden, Region.RESIDUAL)
    operators: list[Operator] = []
    source = stream
    if architecture.final_norm:
        source = Tensor("head.norm_out", architecture.hidden, Region.RESIDUAL)
        operators.append(pointwise("head.norm", norm_kind(architecture), stream, target=source))
    operators += projection(architecture, source)
    parameters = list(head_parameters(architecture))
    for index in range(architecture.mtp_layers):
        more = prefixed(prediction_layer(architecture, last_layer), f"mtp{index + 1}.")
        operators += more.operators
        parameters += [replace(group, auxiliary=True) for group in more.parameters]
    return Block(name="head", input=stream, operators=tuple(operators), parameters=tuple(parameters))


def projection(architecture: Architecture, source: Tensor) -> Iterator[Operator]:
    """From the normed residual stream to the loss."""
    narrow = embedding_width(architecture)
    if narrow != architecture.hidden:
        narrowed = Tensor("head.narrowed", narrow, Region.RESIDUAL)
        yield linear("head.narrow", source, narrowed)
        source = narrowed
    logits = Tensor("logits", architecture.vocab, Region.VOCABULARY)
    yield linear("head", source, logits, kind="head")
    if architecture.logit_softcap:
        capped = Tensor("logits.capped", architecture.vocab, Region.VOCABULARY)
        yield pointwise("head.softcap", "softcap", logits, target=capped)
        logits = capped
    yield Pointwise(name="loss", kind="loss", inputs=(logits,), outputs=())


def head_parameters(architecture: Architecture) -> Iterator[ParameterGroup]:
    """Final norm and output matrix; tied ones share the token embedding's storage."""
    vocabulary, embed = (Axis.VOCAB, architecture.vocab), (Axis.EMBED, architecture.hidden)
    narrow = (Axis.EMBED, embedding_width(architecture))
    if architecture.final_norm:
        yield from hidden_norm_vectors(architecture, "head.norm")
    if narrow != embed:
        yield matrix("head.narrow", narrow, embed)
    yield replace(matrix("head", vocabulary, narrow, part=Part.HEAD), tied=architecture.tied_embeddings)
    if architecture.head_bias:
        yield bias("head.bias", vocabulary)


def prediction_layer(architecture: Architecture, layer: Block) -> Block:
    """One multi-token prediction module (arXiv 2412.19437, section 2.2).

    The residual stream and the next token's embedding, each normed, are projected together from 2h to h; then come a
    layer and another pass of the shared head.
    """
    hidden, kind = architecture.hidden, norm_kind(architecture)

    def stream(name: str, width: int = hidden) -> Tensor:
        return Tensor(name, width, Region.RESIDUAL)

    ahead, both, last = stream("next.embedding"), stream("joined", 2 * hidden), stream("head.norm_out")
    operators = (
        Pointwise(name="next.lookup", kind="embedding", inputs=(), outputs=(ahead,)),
        pointwise("hidden.norm", kind, stream("hidden.input"), target=stream("hidden.norm_out")),
        pointwise("next.norm", kind, ahead, target=stream("next.norm_out")),
        pointwise("join", "residual", stream("hidden.norm_out"), stream("next.norm_out"), target=both),
        linear("join.projection", both, layer.input),
        *layer.operators,
        pointwise("head.norm", kind, stream("layer.output"), target=last),
        *projection(architecture, last),
    )
    parameters = (
        *hidden_norm_vectors(architecture, "hidden.norm"),
        *hidden_norm_vectors(architecture, "next.norm"),
        matrix("join.projection", (Axis.EMBED, hidden), (Axis.EMBED, 2 * hidden)),
        *layer.parameters,
        *hidden_norm_vectors(architecture, "head.norm"),
    )
    return Block(name="prediction", input=layer.input, operators=operators, parameters=parameters)


def prefixed(block: Block, prefix: str) -> Block:
    """A copy whose operators, tensors and parameters carry `prefix`, so that they are counted beside the original's."""

    def rename(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(replace(tensor, name=prefix + tensor.name) for tensor in tensors)

    operators = tuple(
        replace(operator, name=prefix + operator.name, inputs=rename(operator.inputs), outputs=rename(operator.outputs))
        for operator in block.operators
    )
    parameters = tuple(replace(group, name=prefix + group.name) for group in block.parameters)
    return replace(block, input=rename((block.input,))[0], operators=operators, parameters=parameters)
