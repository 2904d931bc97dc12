"""Multi-head, multi-query and grouped-query attention: one sublayer, told apart by the number of key-value heads.

Sources: arXiv 1706.03762, section 3.2; arXiv 1911.02150; arXiv 2305.13245. Norms of queries and keys: arXiv 2302.05442.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import (
    Architecture,
    Attention,
    Axis,
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


def renamed(tensor: Tensor, suffix: str) -> Tensor:
    """A tensor of the same shape and place under a name of its own."""
    return Tensor(f"{tensor.name}.{suffix}", tensor.width, tensor.region)


def attention(architecture: Architecture, layer: int, source: Tensor) -> SublayerParts:
    """Projections, optional norms and rotation of queries and keys, the core, the output projection."""
    heads, kv_heads, width = architecture.heads, architecture.kv_heads, architecture.head_dim
    query = Tensor("attention.query", heads * width, Region.INTERIOR)
    key = Tensor("attention.key", kv_heads * width, Region.KEY_VALUE)
    value = Tensor("attention.value", kv_heads * width, Region.KEY_VALUE)
    mixed = Tensor("attention.mixed", heads * width, Region.INTERIOR)
    output = Tensor("attention.output", architecture.hidden, Region.GATHERED)
    operators: list[Operator] = [linear(tensor.name, source, tensor) for tensor in (query, key, value)]
    if architecture.fused_qkv:
        operators = [linear("attention.qkv", source, query, key, value)]
    if architecture.qk_norm != "none":
        kind, pair = norm_kind(architecture), (query, key)
        query, key = renamed(query, "normed"), renamed(key, "normed")
        operators += [
            pointwise(f"{plain.name}_norm", kind, plain, target=target)
            for plain, target in zip(pair, (query, key), strict=True)
        ]
    if architecture.position == "rope":
        rotated = renamed(query, "rotated"), renamed(key, "rotated")
        operators.append(Pointwise(name="attention.rotary", kind="rotary", inputs=(query, key), outputs=rotated))
        query, key = rotated
    core = Attention(
        name="attention.core", kind="attention", inputs=(query, key, value), outputs=(mixed,), heads=heads,
        kv_heads=kv_heads, qk_dim=width, v_dim=width,
        window=architecture.window if architecture.is_windowed(layer) else None,
        softcap=architecture.attention_softcap,
        sliced_width=(heads + kv_heads) * width if architecture.fused_qkv and architecture.position == "rope" else 0,
        concatenated=architecture.partial_rotary,
    )  # fmt: skip
    operators += [core, linear("attention.out", mixed, output)]
    return SublayerParts(operators=tuple(operators), parameters=tuple(parameters(architecture)), output=output)


def parameters(architecture: Architecture) -> Iterator[ParameterGroup]:
    """Projection matrices by head, their biases, the norms of queries and keys, attention sinks."""
    embed, head_dim = (Axis.EMBED, architecture.hidden), (Axis.HEAD_DIM, architecture.head_dim)
    heads, kv_heads = (Axis.HEADS, architecture.heads), (Axis.KV_HEADS, architecture.kv_heads)
    for name, of in (("query", heads), ("key", kv_heads), ("value", kv_heads)):
        yield ParameterGroup(name=f"attention.{name}", part=Part.MATRIX, rows=(of, head_dim), columns=(embed,))
        if architecture.qkv_bias:
            yield bias(f"attention.{name}.bias", of, head_dim)
    yield ParameterGroup(name="attention.out", part=Part.MATRIX, rows=(embed,), columns=(heads, head_dim))
    if architecture.attention_out_bias:
        yield bias("attention.out.bias", embed)
    if architecture.qk_norm == "head":
        shared = (Axis.NORM, architecture.head_dim)
        for name in ("query", "key"):
            yield from norm_vectors(architecture, f"attention.{name}_norm", shared)
    elif architecture.qk_norm == "full":
        # One weight per head and channel, and no bias, even beside LayerNorm (OLMo 2, Cohere, StableLM 2).
        for name, of in (("query", heads), ("key", kv_heads)):
            yield from norm_vectors(architecture, f"attention.{name}_norm", of, head_dim, biased=False)
    if architecture.attention_sinks:
        yield bias("attention.sinks", heads)


@hookimpl
def planner_sublayers() -> Iterator[Sublayer]:
    """Grouped-query attention, of which multi-head and multi-query attention are the ends."""
    yield Sublayer(name="gqa", build=attention, source="arXiv:1706.03762; arXiv:1911.02150; arXiv:2305.13245")
