"""Zero-bubble schedules: the backward is split, and weight gradients fill what would be idle.

Everywhere here B is the whole backward: input gradients (which the zero-bubble papers call B) and weight gradients W.
Bubbles are those of one stage from its first forward to its last weight gradient: they assume that the optimizer step does not
wait for all stages (post-validation, arXiv 2401.10241, section 4).

Sources: arXiv 2401.10241; arXiv 2405.15362; sail-sg/zero-bubble-pipeline-parallelism, README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from planner.plugin import Array, Context, Layouts, Refusal, Schedule, StageTimes, Value, hookimpl

ZERO_BUBBLE = "arXiv:2401.10241, sections 2.1 and 2.2"
CONTROLLABLE = "arXiv:2405.15362; space sail/pipeline-parallelism-with-controllable-memory, description1.md"
V_CHUNKS = 2


def one_f_one_b_idle_s(times: StageTimes) -> Array:
    """What 1F1B leaves idle: (p − 1)(F + B) when stages are equal."""
    return times.total_forward_s + times.total_backward_s - times.slowest_forward_s - times.slowest_backward_s


def zb1p_idle_s(_context: Context, layouts: Layouts, times: StageTimes) -> Value:
    """(p − 1)(F + B − 2W): a third of 1F1B's when forward, input and weight gradients take equally long."""
    filled = 2 * (layouts["pp"] - 1) * times.weight_gradient_s
    return np.maximum(one_f_one_b_idle_s(times) - filled, 0.0)


def zb2p_idle_s(_context: Context, layouts: Layouts, times: StageTimes) -> Value:
    """(p − 1)(F + B − 3W): nothing when forward, input and weight gradients take equally long."""
    filled = 3 * (layouts["pp"] - 1) * times.weight_gradient_s
    return np.maximum(one_f_one_b_idle_s(times) - filled, 0.0)


def zbv_idle_s(_context: Context, layouts: Layouts, times: StageTimes) -> Value:
    """Nothing when forward, input and weight gradients take equally long; else (p − 1)·max(B − 2W, |B − W − F|/2).

    The second form is derived: the fixed order of operations that PyTorch runs (torch.distributed.pipelining,
    ScheduleZBVZeroBubble), executed with unequal times for 2, 4 and 8 stages of equal layers.
    """
    forward, backward, weight = times.slowest_forward_s, times.slowest_backward_s, times.weight_gradient_s
    unequal = np.maximum(backward - 2 * weight, np.abs(backward - weight - forward) / 2)
    return (layouts["pp"] - 1) * np.maximum(unequal, 0.0)


def v_half_idle_s(_context: Context, _layouts: Layouts, times: StageTimes) -> Value:
    """About half of 1F1B's (stated for equal forward, input and weight gradients)."""
    return one_f_one_b_idle_s(times) / 2


def v_min_idle_s(_context: Context, _layouts: Layouts, times: StageTimes) -> Value:
    """About two thirds of 1F1B's (stated for equal times; unequal ones add a part that grows with m, left out here)."""
    return one_f_one_b_idle_s(times) * 2 / 3


def zb1p_in_flight(_context: Context, layouts: Layouts, _stage: Array) -> Value:
    """Every stage holds up to p micro-batches: later stages delay as many weight gradients as they run fewer forwards."""
    return np.minimum(layouts["micro_batches"], layouts["pp"])


def zb2p_in_flight(_context: Context, layouts: Layouts, _stage: Array) -> Value:
    """Up to 2p − 1 micro-batches."""
    return np.minimum(layouts["micro_batches"], 2 * layouts["pp"] - 1)


def v_in_flight(held: Callable[[Array], Array]) -> Callable[[Context, Layouts, Array], Value]:
    """Twice as many chunks as `held` micro-batches for p stages, the same on every stage."""

    def chunks(_context: Context, layouts: Layouts, _stage: Array) -> Value:
        return V_CHUNKS * np.minimum(layouts["micro_batches"], held(layouts["pp"]))

    return chunks


def one_chunk_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """One chunk per stage, and stages that could be idle."""
    yield Refusal(reason="zero-bubble schedules need pipeline stages", where=layouts["pp"] == 1)
    yield Refusal(reason="zb1p and zb2p run one chunk per stage", where=layouts["vpp"] > 1)


def v_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Two chunks per stage, laid out in a V."""
    yield Refusal(reason="zero-bubble schedules need pipeline stages", where=layouts["pp"] == 1)
    yield Refusal(reason="V schedules run two chunks per stage (vpp 2)", where=layouts["vpp"] != V_CHUNKS)


@hookimpl
def planner_schedules() -> Iterator[Schedule]:
    """zb1p, zb2p, zbv, v-half and v-min."""
    one_chunk = (("zb1p", zb1p_in_flight, zb1p_idle_s), ("zb2p", zb2p_in_flight, zb2p_idle_s))
    for name, in_flight, idle_s in one_chunk:
        yield Schedule(
            name=name, chunks_in_flight=in_flight, bubble_s=idle_s, refusals=one_chunk_refusals, source=ZERO_BUBBLE
        )
    folded: tuple[tuple[str, Callable[[Array], Array], Callable[[Context, Layouts, StageTimes], Value], str], ...] = (
        ("zbv", lambda pp: pp, zbv_idle_s, f"{ZERO_BUBBLE}; README.md of sail-sg/zero-bubble-pipeline-parallelism"),
        ("v-half", lambda pp: np.floor((pp + 2) / 2), v_half_idle_s, CONTROLLABLE),
        ("v-min", lambda pp: np.floor((pp + 4) / 3), v_min_idle_s, CONTROLLABLE),
    )
    for name, held, v_idle_s, source in folded:
        yield Schedule(
            name=name, chunks_in_flight=v_in_flight(held), bubble_s=v_idle_s, refusals=v_refusals, folded=True,
            source=source,
        )  # fmt: skip
