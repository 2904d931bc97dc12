"""Tensor and sequence parallelism: each GEMM pair is split over columns, then rows; norms over the sequence.

Sources: Megatron-LM, arXiv 1909.08053, section 3; sequence parallelism: arXiv 2205.05198, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from planner.plugin import (
    Axis,
    Block,
    Choice,
    Collective,
    Communication,
    Context,
    Degree,
    Layouts,
    Linear,
    Phase,
    Refusal,
    Region,
    Strategy,
    Value,
    divisors,
    hookimpl,
    is_multiple,
    nothing_sent,
)

SOURCE = "arXiv:1909.08053, section 3; arXiv:2205.05198, section 4.2"
LARGEST_DEGREE = 64


def tp_candidates(context: Context) -> tuple[int, ...]:
    """Divisors of the number of heads."""
    return divisors(context.architecture.heads, min(LARGEST_DEGREE, context.cluster.accelerators))


def region_divisors(context: Context, layouts: Layouts) -> Mapping[Region, Value]:
    """Interiors and logits ÷ t (unless they are gathered for the loss); keys and values by whole heads; the residual stream
    ÷ t under sequence parallelism."""
    tp, etp = layouts["tp"], layouts.degree("etp")
    kv_heads = context.architecture.kv_heads
    residual = np.where(layouts.equals("sequence_parallel", 1), tp, 1.0)
    return {
        Region.RESIDUAL: residual,
        Region.ROUTING: residual,
        Region.INTERIOR: tp,
        Region.KEY_VALUE: kv_heads / np.maximum(1.0, np.ceil(kv_heads / tp)),
        Region.VOCABULARY: np.where(layouts.equals("loss_parallel", 1), tp, 1.0),
        Region.DISPATCHED: residual / etp,
        Region.EXPERT_INTERIOR: residual,
    }


def _pairs(block: Block, inside: Region, outside: Region) -> int:
    """Row-parallel GEMMs: each closes one column-row pair."""
    linears = (operator for operator in block.operators if isinstance(operator, Linear))
    return sum(1 for linear in linears if linear.inputs[0].region is inside and linear.outputs[0].region is outside)


def communications(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """Without sequence parallelism an all-reduce closes each pair in the forward and opens it in the backward. With it, an
    all-gather opens and a reduce-scatter closes; the backward gathers the GEMM input a second time where the framework
    saved only its shard, behind the input-gradient GEMM (FORMULAS section 6)."""
    hidden = context.architecture.hidden
    payload = context.tokens(layouts) * hidden * context.precision.communication_bytes
    pairs = _pairs(block, Region.INTERIOR, Region.GATHERED)
    if block.name == "embedding":
        yield from _edge(layouts, payload, Phase.FORWARD, closes=True)
    elif block.name == "head":
        yield from _edge(layouts, payload, Phase.FORWARD, closes=False)
    if pairs:
        yield from _pair_communications(context, layouts, payload, pairs)
    experts = _pairs(block, Region.EXPERT_INTERIOR, Region.DISPATCHED)
    if experts:
        yield from _expert_communications(context, layouts, block, experts)


def _send(collective: Collective, payload: Value, phase: Phase, events: Value, overlap: Value) -> Communication:
    return Communication(
        collective=collective, axes=("tp",), payload_bytes=payload, phase=phase, component="tp", events=events,
        overlap=overlap, source=SOURCE,
    )  # fmt: skip


def _pair_communications(context: Context, layouts: Layouts, payload: Value, pairs: int) -> Iterator[Communication]:
    sequence = layouts.equals("sequence_parallel", 1)
    overlaps = context.framework.overlaps
    overlap: Value = overlaps.tensor
    if context.generation in overlaps.tiled_tensor:  # tiles travel through peers' memory, so within a scale-up domain
        inside = layouts["tp"] <= context.cluster.node.scaleup_domain
        overlap = np.where(inside, 1.0 - 1.0 / layouts["tp"], overlaps.tensor)
    for phase, reduced in ((Phase.FORWARD, 0.0), (Phase.BACKWARD, overlaps.input_gradients)):
        yield _send(Collective.ALL_REDUCE, payload, phase, np.where(sequence, 0, pairs), max(overlaps.tensor, reduced))
        yield _send(Collective.ALL_GATHER, payload, phase, np.where(sequence, pairs, 0), overlap)
        yield _send(
            Collective.REDUCE_SCATTER, payload, phase, np.where(sequence, pairs, 0), np.maximum(overlap, reduced)
        )
    if not context.framework.keeps_gathered_inputs:
        yield _send(Collective.ALL_GATHER, payload, Phase.BACKWARD, np.where(sequence, pairs, 0), 1.0)


def _edge(layouts: Layouts, payload: Value, phase: Phase, *, closes: bool) -> Iterator[Communication]:
    """The vocabulary-parallel embedding closes with a reduction; the head opens with a gather, reduced in the backward."""
    sequence = layouts.equals("sequence_parallel", 1)
    if closes:
        yield _send(Collective.ALL_REDUCE, payload, phase, np.where(sequence, 0, 1), 0.0)
        yield _send(Collective.REDUCE_SCATTER, payload, phase, np.where(sequence, 1, 0), 0.0)
        yield _send(Collective.ALL_GATHER, payload, Phase.BACKWARD, np.where(sequence, 1, 0), 0.0)
    else:
        yield _send(Collective.ALL_GATHER, payload, phase, np.where(sequence, 1, 0), 0.0)
        yield _send(Collective.ALL_REDUCE, payload, Phase.BACKWARD, np.where(sequence, 0, 1), 0.0)
        yield _send(Collective.REDUCE_SCATTER, payload, Phase.BACKWARD, np.where(sequence, 1, 0), 0.0)


def _expert_communications(context: Context, layouts: Layouts, block: Block, pairs: int) -> Iterator[Communication]:
    """Expert tensor parallelism gathers the dispatched tokens over etp and reduces them after the down projection."""
    topk = max(operator.topk for operator in block.operators if isinstance(operator, Linear))
    etp = layouts.degree("etp")
    residual = np.where(layouts.equals("sequence_parallel", 1), layouts["tp"], 1.0)
    tokens = context.tokens(layouts) * topk * etp / residual
    payload = tokens * context.architecture.hidden * context.precision.communication_bytes
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        for collective in (Collective.ALL_GATHER, Collective.REDUCE_SCATTER):
            yield Communication(
                collective=collective, axes=("etp",), payload_bytes=payload, phase=phase, component="tp",
                events=np.where(etp > 1, pairs, 0), source=SOURCE,
            )  # fmt: skip


def refusals(context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Heads, feed-forward width and sequence must divide; sequence parallelism needs tensor parallelism."""
    architecture, tp = context.architecture, layouts["tp"]
    sequence = layouts.equals("sequence_parallel", 1)
    yield Refusal(reason="attention heads are not a multiple of tp", where=~is_multiple(architecture.heads, tp))
    kv = architecture.kv_heads
    indivisible = ~is_multiple(kv, tp) & ~is_multiple(tp, kv)
    yield Refusal(reason="tp neither divides nor is a multiple of the key-value heads", where=indivisible)
    yield Refusal(reason="feed-forward width is not a multiple of tp", where=~is_multiple(architecture.ffn_hidden, tp))
    yield Refusal(reason="sequence parallelism without tensor parallelism", where=sequence & (tp == 1))
    share = context.job.seq_len / layouts.degree("cp")
    yield Refusal(reason="sequence is not a multiple of cp x tp", where=sequence & ~is_multiple(share, tp))
    if architecture.moe is not None:
        yield Refusal(
            reason="experts with tensor parallelism need sequence parallelism",
            where=(tp > 1) & np.logical_not(sequence),
        )


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    """Tensor parallelism with its sequence-parallel form."""
    yield Strategy(
        name="tensor",
        degrees=(Degree(name="tp", candidates=tp_candidates, multiplies_gpus=True, help="tensor-parallel ranks"),),
        choices=(
            Choice(name="sequence_parallel", values=(0, 1), help="split norms and residual over the sequence"),
            Choice(
                name="loss_parallel",
                values=(1, 0),
                candidates=lambda _context: (1,),
                help="keep logits and loss split over the vocabulary (0: gathered on every rank)",
            ),
        ),
        divides={Axis.HEADS: "tp", Axis.KV_HEADS: "tp", Axis.MLP: "tp", Axis.VOCAB: "tp"},
        region_divisors=region_divisors,
        communications=communications,
        synchronisations=nothing_sent,
        refusals=refusals,
        source=SOURCE,
    )
