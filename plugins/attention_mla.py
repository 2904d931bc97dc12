"""Multi-head latent attention: queries, keys and values are expanded from compressed latents.

Sources: arXiv 2405.04434, section 2.1; deepseek-ai/DeepSeek-V2, modeling_deepseek.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import (
    Architecture,
    Attention,
    Axis,
    InputError,
    LatentAttention,
    Operator,
    ParameterGroup,
    Part,
    Pointwise,
    Region,
    Sublayer,
    SublayerParts,
    Tensor,
    bias,
    hookimpl,
    linear,
    norm_kind,
    norm_vectors,
    pointwise,
)


def latents(architecture: Architecture) -> LatentAttention:
    """The ranks, which an architecture with this mixer must have."""
    if architecture.mla is None:
        raise InputError(f"{architecture.slug} has the mixer 'mla' but no latent ranks")
    return architecture.mla


def queries(architecture: Architecture, source: Tensor, query: Tensor) -> Iterator[Operator]:
    """Down, norm, up; or one projection where queries are not compressed."""
    rank = latents(architecture).q_rank
    if rank is None:
        yield linear("attention.query", source, query)
        return
    down = Tensor("attention.query_down", rank, Region.LATENT)
    latent = Tensor("attention.query_latent", rank, Region.LATENT)
    yield linear("attention.query_down", source, down)
    yield pointwise("attention.query_norm", norm_kind(architecture), down, target=latent)
    yield linear("attention.query_up", latent, query)


def attention(architecture: Architecture, layer: int, source: Tensor) -> SublayerParts:
    """Latents, their expansion, rotation of the position-carrying part, the core, the output projection.

    The rotary key is shared by all heads. It is a slice of the down projection's output, which the latent's norm keeps
    whole: the core therefore lists it among its inputs (the 2·d_r of FORMULAS section 3.3).
    """
    shape, heads = latents(architecture), architecture.heads
    qk_width = shape.nope_dim + shape.rope_dim
    query = Tensor("attention.query", heads * qk_width, Region.INTERIOR)
    down = Tensor("attention.kv_down", shape.kv_rank, Region.LATENT)
    rotary_key = Tensor("attention.rotary_key", shape.rope_dim, Region.LATENT)
    latent = Tensor("attention.kv_latent", shape.kv_rank, Region.LATENT)
    plain_key = Tensor("attention.plain_key", heads * shape.nope_dim, Region.INTERIOR)
    value = Tensor("attention.value", heads * shape.v_dim, Region.INTERIOR)
    turned = Tensor("attention.query.rotated", query.width, Region.INTERIOR)
    key = Tensor("attention.key", heads * qk_width, Region.INTERIOR)
    mixed = Tensor("attention.mixed", heads * shape.v_dim, Region.INTERIOR)
    output = Tensor("attention.output", architecture.hidden, Region.GATHERED)
    core = Attention(
        name="attention.core", kind="attention", inputs=(turned, key, value, rotary_key), outputs=(mixed,), heads=heads,
        kv_heads=heads, qk_dim=qk_width, v_dim=shape.v_dim,
        window=architecture.window if architecture.is_windowed(layer) else None,
        sliced_width=heads * shape.nope_dim,
        concatenated=True,
    )  # fmt: skip
    operators: tuple[Operator, ...] = (
        *queries(architecture, source, query),
        linear("attention.kv_down", source, down, rotary_key),
        pointwise("attention.kv_norm", norm_kind(architecture), down, target=latent),
        linear("attention.kv_up", latent, plain_key, value),
        Pointwise(name="attention.rotary", kind="rotary", inputs=(query, plain_key, rotary_key), outputs=(turned, key)),
        core,
        linear("attention.out", mixed, output),
    )
    return SublayerParts(operators=operators, parameters=tuple(parameters(architecture)), output=output)


def parameters(architecture: Architecture) -> Iterator[ParameterGroup]:
    """Matrices by head; latents on an axis of their own. Biases, where there are, sit on the down projections only."""
    shape = latents(architecture)
    embed, heads = (Axis.EMBED, architecture.hidden), (Axis.HEADS, architecture.heads)
    qk_dim = (Axis.HEAD_DIM, shape.nope_dim + shape.rope_dim)
    if shape.q_rank is None:
        yield ParameterGroup(name="attention.query", part=Part.MATRIX, rows=(heads, qk_dim), columns=(embed,))
    else:
        rank = (Axis.LATENT, shape.q_rank)
        yield from compression(architecture, "query", shape.q_rank, shape.q_rank)
        yield ParameterGroup(name="attention.query_up", part=Part.MATRIX, rows=(heads, qk_dim), columns=(rank,))
    yield from compression(architecture, "kv", shape.kv_rank + shape.rope_dim, shape.kv_rank)
    expanded = (Axis.HEAD_DIM, shape.nope_dim + shape.v_dim)
    kv_rank = (Axis.LATENT, shape.kv_rank)
    yield ParameterGroup(name="attention.kv_up", part=Part.MATRIX, rows=(heads, expanded), columns=(kv_rank,))
    value_dim = (Axis.HEAD_DIM, shape.v_dim)
    yield ParameterGroup(name="attention.out", part=Part.MATRIX, rows=(embed,), columns=(heads, value_dim))
    if architecture.attention_out_bias:
        yield bias("attention.out.bias", embed)


def compression(architecture: Architecture, name: str, width: int, normed: int) -> Iterator[ParameterGroup]:
    """A down projection to `width`, its bias, and the norm over the first `normed` of it."""
    rows, columns = ((Axis.LATENT, width),), ((Axis.EMBED, architecture.hidden),)
    yield ParameterGroup(name=f"attention.{name}_down", part=Part.MATRIX, rows=rows, columns=columns)
    if architecture.qkv_bias:
        yield bias(f"attention.{name}_down.bias", (Axis.LATENT, width))
    yield from norm_vectors(architecture, f"attention.{name}_norm", (Axis.NORM, normed))


@hookimpl
def planner_sublayers() -> Iterator[Sublayer]:
    """Latent attention of DeepSeek-V2 and its successors."""
    yield Sublayer(name="mla", build=attention, source="arXiv:2405.04434, section 2.1")
