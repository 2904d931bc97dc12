"""Pipeline stages as a table: which layers each stage holds, and which stages can be the fullest or the slowest."""

from __future__ import annotations

from dataclasses import dataclass

from planner.plugin import Context, Program

ENDS = 2
"""The embedding and the head."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What stage `index` holds: layers by kind, and whether the embedding or the head."""

    index: int
    layers: tuple[int, ...]
    embedding: bool
    head: bool

    def dominated_by(self, other: Stage) -> bool:
        """Whether `other` holds at least as much of everything, in-flight micro-batches (which fall with the index) included."""
        return (
            other.index <= self.index
            and all(mine <= theirs for mine, theirs in zip(self.layers, other.layers, strict=True))
            and self.embedding <= other.embedding
            and self.head <= other.head
        )


def chunk_sizes(layers: int, chunks: int, head_layers: float = 0.0) -> tuple[int, ...]:
    """Layers per chunk: as many in each where that comes out even, or does with the embedding and the head counted as one layer
    each (Llama 3 405B: 126 layers on 16 stages are 7, 14 × 8, 7; arXiv 2407.21783, section 3.3.2).

    Else somebody may say which chunk holds what, and does where that takes a layer's time or more off the fullest chunk: the last
    one then gets as many layers as make the fullest least, where the head is worth `head_layers`. So do the recipes for
    DeepSeek-V3, whose head predicts two tokens (NVIDIA-NeMo/Megatron-Bridge v0.3.0, recipes/deepseek/deepseek_v3.py).

    >>> chunk_sizes(126, 16)[:2], chunk_sizes(61, 4, 3.9), chunk_sizes(61, 4, 0.5)
    ((7, 8), (16, 16, 16, 13), (15, 16, 15, 15))
    """
    even = _even(layers, chunks)
    if chunks == 1 or layers % chunks == 0 or (layers + ENDS) % chunks == 0:
        return even

    def fullest(last: int) -> float:
        return max(last + head_layers, -(-(layers - last) // (chunks - 1)))

    last = min(range(even[-1], -1, -1), key=fullest)
    return (*_even(layers - last, chunks - 1), last) if fullest(last) <= fullest(even[-1]) - 1.0 else even


def _even(layers: int, chunks: int) -> tuple[int, ...]:
    """As even as can be; the chunks that get one more lie in the middle, away from embedding and head."""
    base, more = divmod(layers, chunks)
    first = (chunks - more) // 2
    return tuple(base + (first <= chunk < first + more) for chunk in range(chunks))


@dataclass(frozen=True, slots=True)
class HeadShare:
    """As how many layers the head counts where layers are shared out, and whether a framework does so by work whatever comes out
    even."""

    layers: float = 0.0
    by_work: bool = False


def head_share(context: Context) -> HeadShare:
    """As the framework counts it, else by its arithmetic."""
    counts = context.framework.head_layers
    if counts is not None:
        return HeadShare(counts(context), by_work=True)
    program, seq_len = context.program, context.job.seq_len
    head = program.head.flops_per_token(seq_len)
    layers = program.flops_per_token(seq_len) - head
    return HeadShare(head * len(program.layers) / layers if layers > 0.0 else 0.0)


def balanced_sizes(layers: int, stages: int, head_layers: float) -> tuple[int, ...]:
    """Layers per stage where the head counts as `head_layers` of them: a stage is full once it is past its share of the sum
    (huggingface/nanotron, src/nanotron/models/base.py, build_model). The head follows on the last one.

    >>> balanced_sizes(16, 2, 262.7 / 67.1)
    (10, 6)
    """
    sizes, stage = [0] * stages, 0
    for placed in range(1, layers + 1):
        sizes[stage] += 1
        if placed > (layers + head_layers) * (stage + 1) / stages:
            stage = min(stage + 1, stages - 1)
    return tuple(sizes)


def split_stages(program: Program, pp: int, vpp: int, head: HeadShare) -> tuple[Stage, ...]:
    """The stages of a pipeline; chunk c of pp · vpp lies on stage c mod pp."""
    return split_layers(program.layers, len(program.kinds), pp, vpp, head)


def split_layers(layers: tuple[int, ...], kinds: int, pp: int, vpp: int, head: HeadShare) -> tuple[Stage, ...]:
    """The stages of `layers`, each of which is the number of its kind."""
    held = [[0] * kinds for _ in range(pp)]
    first = 0
    share_out = balanced_sizes if head.by_work else chunk_sizes
    for chunk, size in enumerate(share_out(len(layers), pp * vpp, head.layers)):
        for kind in range(kinds):
            held[chunk % pp][kind] += layers[first : first + size].count(kind)
        first += size
    return tuple(Stage(index, tuple(held[index]), index == 0, index == pp - 1) for index in range(pp))


def within(layers: int, pp: int, vpp: int) -> tuple[int, int]:
    """Stages and chunks per stage that `layers` are enough for, the embedding and the head counted as one each: more are refused
    by the pipeline strategy, and evaluated as if there were fewer."""
    chunks = min(pp * vpp, layers + ENDS if vpp > 1 else layers)
    pp = min(pp, chunks)
    return pp, max(1, chunks // pp)


def representatives(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages that no other dominates: all that a maximum over stages needs to look at."""
    kept: list[Stage] = []
    for stage in stages:
        if kept and stage.layers == kept[-1].layers and not stage.head:
            continue  # the common case: as an earlier stage
        if not any(stage.dominated_by(other) for other in kept):
            kept = [other for other in kept if not other.dominated_by(stage)]
            kept.append(stage)
    return tuple(kept)
