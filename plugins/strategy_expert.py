"""Expert parallelism: routed experts are divided over ranks that otherwise hold replicas; tokens travel to them.

It divides parameters, not activations: each rank still sees as many token copies as before (FORMULAS section 3.4).
Sources: GShard, arXiv 2006.16668; Megatron-LM's MoE parallel folding, arXiv 2504.14960.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from planner.plugin import (
    Array,
    Axis,
    Block,
    Collective,
    Communication,
    Context,
    Degree,
    Layouts,
    Linear,
    Phase,
    Refusal,
    Strategy,
    divisors,
    hookimpl,
    is_multiple,
    nothing_sent,
    powers_of_two,
)

SOURCE = "arXiv:2006.16668; arXiv:2504.14960"


def ep_candidates(context: Context) -> tuple[int, ...]:
    """Divisors of the number of experts."""
    moe = context.architecture.moe
    return (1,) if moe is None else divisors(moe.experts, context.cluster.accelerators)


def etp_candidates(context: Context) -> tuple[int, ...]:
    """Powers of two inside a node; all but 1 and tp are refused."""
    return (1,) if context.architecture.moe is None else powers_of_two(8)


def hidden_share(context: Context, layouts: Layouts) -> Array:
    """The share of the all-to-all that another micro-batch's compute can hide: there must be one whose turn it may be."""
    overlaps = context.framework.overlaps
    if not overlaps.expert and not overlaps.expert_inside:
        return np.zeros(1)
    inside = layouts["ep"] * layouts.degree("etp") <= context.cluster.node.scaleup_domain
    interleaved = (layouts["pp"] == 1) | (layouts.degree("vpp") > 1)
    whole = layouts.equals("recompute", "full") | layouts.equals("recompute", "full:block")
    possible = interleaved & np.logical_not(whole) & (layouts["micro_batches"] > 1)
    return np.where(possible, np.where(inside, overlaps.expert_inside, overlaps.expert), 0.0)


def communications(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """Dispatch and combine, in the forward and again in the backward: four all-to-alls of the rank's token copies."""
    routed = [operator for operator in block.operators if isinstance(operator, Linear) and operator.experts > 1]
    if not routed:
        return
    sequence = np.where(layouts.equals("sequence_parallel", 1), layouts["tp"], 1.0)
    copies = context.tokens(layouts) * routed[0].topk * context.job.capacity_factor / sequence
    payload = copies * context.architecture.hidden * context.precision.communication_bytes
    overlap = hidden_share(context, layouts)
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        yield Communication(
            collective=Collective.ALL_TO_ALL, axes=("ep",), payload_bytes=payload, phase=phase, component="ep",
            events=np.where(layouts["ep"] > 1, 2.0, 0.0), overlap=overlap, source=SOURCE,
            copies=float(routed[0].topk) if context.framework.deduplicates_tokens else 0.0,
        )  # fmt: skip


def refusals(context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """ep and etp are carved from tp · cp · dp; experts must divide."""
    moe, ep, etp, tp = context.architecture.moe, layouts["ep"], layouts["etp"], layouts["tp"]
    ranks = tp * layouts["cp"] * layouts["dp"]
    if moe is None:
        yield Refusal(reason="expert parallelism without experts", where=(ep > 1) | (etp > 1))
        return
    yield Refusal(reason="experts are not a multiple of ep", where=~is_multiple(moe.experts, ep))
    yield Refusal(reason="ep x etp does not divide tp x cp x dp", where=~is_multiple(ranks, ep * etp))
    yield Refusal(reason="etp is neither 1 nor tp", where=(etp != 1) & (etp != tp))
    yield Refusal(reason="expert width is not a multiple of etp", where=~is_multiple(moe.expert_ffn, etp))


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    """Expert parallelism, and tensor parallelism inside an expert."""
    yield Strategy(
        name="expert",
        degrees=(
            Degree(name="ep", candidates=ep_candidates, help="expert-parallel ranks, carved from tp x cp x dp"),
            Degree(name="etp", candidates=etp_candidates, help="tensor parallelism inside an expert"),
        ),
        divides={Axis.EXPERTS: "ep", Axis.EXPERT_MLP: "etp"},
        communications=communications,
        synchronisations=nothing_sent,
        refusals=refusals,
        source=SOURCE,
    )
