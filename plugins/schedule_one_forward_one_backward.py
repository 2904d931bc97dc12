"""1F1B and its interleaved form.

Sources: PipeDream-Flush, arXiv 2006.09503; interleaving, arXiv 2104.04473, section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from planner.plugin import Array, Context, Layouts, Refusal, Schedule, StageTimes, Value, hookimpl, is_multiple


def idle_s(times: StageTimes) -> Array:
    """The time that one micro-batch spends on all stages but the slowest: (p − 1)(F + B) when stages are equal."""
    return times.total_forward_s + times.total_backward_s - times.slowest_forward_s - times.slowest_backward_s


def one_f_one_b_in_flight(_context: Context, layouts: Layouts, stage: Array) -> Value:
    """Stage i holds min(m, p − i) micro-batches."""
    return np.minimum(layouts["micro_batches"], layouts["pp"] - stage)


def interleaved_in_flight(_context: Context, layouts: Layouts, stage: Array) -> Value:
    """Stage i holds min(m·v, 2(p − i − 1) + (v − 1)·p + 1) chunks of L/(p·v) layers."""
    pp, vpp = layouts["pp"], layouts["vpp"]
    warmup = 2 * (pp - stage - 1) + (vpp - 1) * pp + 1
    return np.minimum(layouts["micro_batches"] * vpp, warmup)


def interleaved_ends_in_flight(_context: Context, layouts: Layouts, stage: Array) -> Value:
    """Chunks run in groups of p micro-batches. At its peak the first stage has begun the first chunk of a second group: it holds
    min(m, 2p − 1) of that, and p of each other one. The last stage holds its last chunk only where no second group follows."""
    pp, vpp, micro_batches = layouts["pp"], layouts["vpp"], layouts["micro_batches"]
    of_others = np.minimum((vpp - 1) * micro_batches, (vpp - 1) * pp + 1)
    on_the_last = interleaved_in_flight(_context, layouts, pp - 1) - of_others
    return np.where(stage == 0, np.minimum(micro_batches, 2 * pp - 1), on_the_last)


def one_f_one_b_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Several chunks per stage are what the interleaved schedule is for."""
    yield Refusal(reason="vpp above 1 needs the interleaved schedule", where=layouts["vpp"] > 1)


def interleaved_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Needs several chunks, and micro-batches in groups of pp."""
    vpp = layouts["vpp"]
    yield Refusal(reason="the interleaved schedule needs vpp above 1", where=vpp == 1)
    ungrouped = (vpp > 1) & ~is_multiple(layouts["micro_batches"], layouts["pp"])
    yield Refusal(reason="interleaved: micro-batches are not a multiple of pp", where=ungrouped)


@hookimpl
def planner_schedules() -> Iterator[Schedule]:
    """1f1b and interleaved."""
    yield Schedule(
        name="1f1b",
        chunks_in_flight=one_f_one_b_in_flight,
        bubble_s=lambda _context, _layouts, times: idle_s(times),
        refusals=one_f_one_b_refusals,
        source="arXiv:2006.09503; arXiv:2104.04473, section 2.2.1",
    )
    yield Schedule(
        name="interleaved",
        chunks_in_flight=interleaved_in_flight,
        bubble_s=lambda _context, layouts, times: idle_s(times) / layouts["vpp"],
        refusals=interleaved_refusals,
        end_chunks_in_flight=interleaved_ends_in_flight,
        source="arXiv:2104.04473, section 2.2.2",
    )
