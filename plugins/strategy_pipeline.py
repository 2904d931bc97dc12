"""Pipeline parallelism: stages hold consecutive layers; a stage may hold several chunks of them (vpp).

Sources: Megatron-LM, arXiv 2104.04473, section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from planner.plugin import (
    Block,
    Collective,
    Communication,
    Context,
    Degree,
    Layouts,
    Part,
    Phase,
    Refusal,
    Strategy,
    divisors,
    hookimpl,
    is_multiple,
    powers_of_two,
)

SOURCE = "arXiv:2104.04473, section 2.2"
ENDS = 2
"""The embedding and the head, each of which may count as a layer when layers are shared out (Llama 3 405B: 126 layers in 128
chunks, arXiv 2407.21783, section 3.3.2; Megatron-LM's ``--account-for-embedding-in-pipeline-split``)."""
LARGEST_VPP = 12
EVERY_DEGREE = 16


def pp_candidates(context: Context) -> tuple[int, ...]:
    """Every number of stages up to a limit, then divisors of the number of layers and powers of two; uneven stages differ by
    one layer."""
    layers = len(context.program.layers)
    limit = min(layers, context.cluster.accelerators)
    return tuple(sorted({*range(1, min(limit, EVERY_DEGREE) + 1), *divisors(layers, limit), *powers_of_two(limit)}))


def vpp_candidates(context: Context) -> tuple[int, ...]:
    """Divisors of the number of layers, and of that with the embedding and the head counted as one each, where the framework can
    interleave."""
    if "interleaved" not in context.framework.schedules:
        return (1,)
    layers = len(context.program.layers)
    return tuple(sorted({*divisors(layers, LARGEST_VPP), *divisors(layers + ENDS, LARGEST_VPP)}))


def synchronisations(context: Context, layouts: Layouts, block: Block) -> Iterator[Communication]:
    """Tied embeddings live on both end stages, which all-reduce their gradient once per step."""
    tied = [
        local for local in context.local_groups(block, layouts) if local.group.tied and local.group.part is Part.HEAD
    ]
    for local in tied:
        yield Communication(
            collective=Collective.ALL_REDUCE, axes=("embedding_copies",),
            payload_bytes=local.elements * context.storage.reduce_bytes, phase=Phase.GRADIENT_SYNC, component="pp",
            source=SOURCE,
        )  # fmt: skip


def boundary_communications(context: Context, layouts: Layouts) -> Iterator[Communication]:
    """Each boundary sends the residual stream forward and its gradient back, per micro-batch and chunk, shared out over
    the tensor-parallel ranks under sequence parallelism, or where they gather it on arrival (arXiv 2104.04473, section 4.1)."""
    sequence = layouts.equals("sequence_parallel", 1)
    gathers = context.framework.gathers_stage_messages
    shard = layouts["tp"] if gathers else np.where(sequence, layouts["tp"], 1.0)
    whole = context.tokens(layouts) * context.architecture.hidden * context.precision.communication_bytes
    payload = whole / shard
    events = np.where(layouts["pp"] > 1, layouts["vpp"], 0.0)
    gathered = np.where(gathers & ~sequence & (layouts["tp"] > 1), events, 0.0)
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        yield Communication(
            collective=Collective.POINT_TO_POINT, axes=("pp",), payload_bytes=payload, phase=phase, component="pp",
            events=events, overlap=context.framework.overlaps.pipeline, source=SOURCE,
        )  # fmt: skip
        yield Communication(
            collective=Collective.ALL_GATHER, axes=("tp",), payload_bytes=whole, phase=phase, component="pp",
            events=gathered, source=SOURCE,
        )  # fmt: skip


def refusals(context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Every chunk holds a layer, the first may hold the embedding and the last the head instead; chunks of a stage need stages.
    Interleaved chunks hold as many layers each, with or without the embedding and the head counted as one."""
    pp, vpp = layouts["pp"], layouts["vpp"]
    layers = len(context.program.layers)
    counted = np.where(vpp > 1, layers + ENDS, layers)
    yield Refusal(reason="fewer layers than pp x vpp", where=pp * vpp > counted)
    yield Refusal(reason="vpp without pipeline parallelism", where=(vpp > 1) & (pp == 1))
    chunks = pp * vpp
    uneven = (vpp > 1) & ~is_multiple(layers, chunks) & ~is_multiple(layers + ENDS, chunks) & (chunks <= counted)
    yield Refusal(reason="interleaved chunks of unequal layers", where=uneven)


@hookimpl
def planner_strategies() -> Iterator[Strategy]:
    """Pipeline parallelism."""
    yield Strategy(
        name="pipeline",
        degrees=(
            Degree(name="pp", candidates=pp_candidates, multiplies_gpus=True, help="pipeline stages"),
            Degree(name="vpp", candidates=vpp_candidates, help="model chunks per stage (interleaved schedule)"),
        ),
        synchronisations=synchronisations,
        boundary_communications=boundary_communications,
        refusals=refusals,
        source=SOURCE,
    )
