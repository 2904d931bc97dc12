"""Context parallelism: the sequence is divided over ranks, and attention exchanges keys and values.

Sources: ring attention, arXiv 2310.01889; all-gather of keys and values, arXiv 2407.21783 section 3.3.2;
Ulysses, arXiv 2309.14509.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from planner.plugin import (
    Array,
    Attention,
    Block,
    Buffer,
    Choice,
    Collective,
    Communication,
    Component,
    Context,
    Degree,
    Layouts,
    Phase,
    Refusal,
    Strategy,
    Value,
    hookimpl,
    is_multiple,
    nothing_sent,
    powers_of_two,
)

SOURCE = "arXiv:2310.01889; arXiv:2407.21783, section 3.3.2; arXiv:2309.14509"
SHORTEST_SHARE = 2048


def cp_candidates(context: Context) -> tuple[int, ...]:
    """Powers of two that leave each rank a share of the sequence worth having."""
    return powers_of_two(min(context.job.seq_len // SHORTEST_SHARE, context.cluster.accelerators))


def _kv_bytes(context: Context, layouts: Layouts, attention: Attention) -> Value:
    """Keys and values of this rank's share of the sequence: (s/c) · b · heads on the rank · (qk + v) · bytes."""
    heads = np.maximum(1.0, np.ceil(attention.kv_heads / layouts["tp"]))
    width = heads * (attention.qk_dim + attention.v_dim)
    kv_bytes: Array = context.tokens(layouts) * width * context.precision.communication_bytes
    return kv_bytes


def communications(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """Ring: cp − 1 hops of keys and values, twice that in the backward (their gradients travel too), behind attention.
    All-gather: gathered in the forward, gradients reduce-scattered in the backward, exposed. Ulysses: all-to-all of
    queries, keys, values and the output."""
    cp = layouts["cp"]
    for attention in (operator for operator in block.operators if isinstance(operator, Attention)):
        kv = _kv_bytes(context, layouts, attention)
        heads = attention.heads / layouts["tp"]
        q_and_out = context.tokens(layouts) * heads * (attention.qk_dim + attention.v_dim)
        all_bytes = kv + q_and_out * context.precision.communication_bytes
        for phase, factor in ((Phase.FORWARD, 1.0), (Phase.BACKWARD, 2.0)):
            yield _send(Collective.POINT_TO_POINT, kv * factor, phase, _when(layouts, "ring", cp - 1), overlap=1.0)
            yield _send(Collective.ALL_TO_ALL, all_bytes, phase, _when(layouts, "ulysses", 1.0), overlap=0.0)
        yield _send(Collective.ALL_GATHER, kv * cp, Phase.FORWARD, _when(layouts, "allgather", 1.0), overlap=0.0)
        yield _send(Collective.ALL_GATHER, kv * cp, Phase.BACKWARD, _when(layouts, "allgather", 1.0), overlap=0.0)
        yield _send(Collective.REDUCE_SCATTER, kv * cp, Phase.BACKWARD, _when(layouts, "allgather", 1.0), overlap=0.0)


def key_parts(_context: Context, layouts: Layouts) -> Value:
    """In a ring a rank runs one kernel on the keys of each rank in turn."""
    return np.where(layouts.equals("cp_kind", "ring"), layouts["cp"], 1.0)


def _when(layouts: Layouts, kind: str, events: Value) -> Value:
    return np.where(layouts.equals("cp_kind", kind) & (layouts["cp"] > 1), events, 0.0)


def _send(collective: Collective, payload: Value, phase: Phase, events: Value, *, overlap: float) -> Communication:
    return Communication(
        collective=collective, axes=("cp",), payload_bytes=payload, phase=phase, component="cp", events=events,
        overlap=overlap, source=SOURCE,
    )  # fmt: skip


def buffers(context: Context, layouts: Layouts) -> Iterator[Buffer]:
    """The ring's receive buffer, or the whole sequence's keys and values where they are gathered."""
    widest: Value = 0.0
    for block in context.program.kinds:
        for operator in block.operators:
            if isinstance(operator, Attention):
                widest = np.maximum(widest, _kv_bytes(context, layouts, operator))
    copies = np.where(layouts.equals("cp_kind", "allgather"), layouts["cp"], 2.0)
    yield Buffer(
        name="keys and values in transit", component=Component.ACTIVATIONS,
        bytes=np.where((layouts["cp"] > 1) & np.logical_not(layouts.equals("cp_kind", "ulysses")), widest * copies, 0.0),
    )  # fmt: skip


def refusals(context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """The causal mask is balanced by giving each rank two chunks; Ulysses divides heads."""
    cp = layouts["cp"]
    uneven = (cp > 1) & ~is_multiple(context.job.seq_len, 2 * cp)
    yield Refusal(reason="sequence is not a multiple of 2 x cp", where=uneven)
    heads = ~is_multiple(context.architecture.kv_heads, layouts["tp"] * cp)
    yield Refusal(
        reason="Ulysses needs key-value heads in multiples of tp x cp",
        where=layouts.equals("cp_kind", "ulysses") & (cp > 1) & heads,
    )
    yield Refusal(
        reason="choosing a kind of context parallelism without context parallelism",
        where=np.logical_not(layouts.equals("cp_kind", layouts.values["cp_kind"][0])) & (cp == 1),
    )


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    """Context parallelism in its three kinds."""
    yield Strategy(
        name="context",
        degrees=(Degree(name="cp", candidates=cp_candidates, multiplies_gpus=True, help="context-parallel ranks"),),
        choices=(
            Choice(
                name="cp_kind", values=("ring", "allgather", "ulysses"), candidates=lambda _context: ("ring",),
                help="how attention sees the whole sequence",
            ),
        ),
        sequence_divisor=lambda _context, layouts: layouts["cp"],
        key_parts=key_parts,
        communications=communications,
        synchronisations=nothing_sent,
        buffers=buffers,
        refusals=refusals,
        source=SOURCE,
    )  # fmt: skip
