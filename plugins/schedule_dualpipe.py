"""DualPipe: micro-batches enter the pipeline from both ends; and its half, DualPipeV, whose chunks lie in a V.

B is the whole backward, W its weight gradients. F&B, a forward and a backward that run interleaved, is taken as F + B: compute
adds up. What they are interleaved for is to hide the experts' all-to-all, of which section 3.2.1 says that all of it hides: here as
far as the compute of its own phase reaches.

Sources: deepseek-ai/DualPipe, README.md and dualpipe/; arXiv 2412.19437, section 3.2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from planner.plugin import Array, Context, Layouts, Refusal, Schedule, StageTimes, Value, hookimpl, is_multiple

SOURCE = "deepseek-ai/DualPipe, README.md; arXiv:2412.19437, section 3.2.1"


def _turn_s(times: StageTimes) -> Array:
    """F&B + B − 3W of one stage."""
    idle = times.slowest_forward_s + 2 * times.slowest_backward_s - 3 * times.weight_gradient_s
    return np.maximum(idle, 0.0)


def dualpipe_idle_s(_context: Context, layouts: Layouts, times: StageTimes) -> Value:
    """(p/2 − 1)(F&B + B − 3W)."""
    return np.maximum(layouts["pp"] / 2 - 1, 0.0) * _turn_s(times)


def dualpipev_idle_s(_context: Context, layouts: Layouts, times: StageTimes) -> Value:
    """The same for 2p chunks, two on each of p devices: (2p/2 − 1) times half of what a device's chunks take together."""
    return (layouts["pp"] - 1) * _turn_s(times) / 2


def dualpipe_in_flight(_context: Context, layouts: Layouts, _stage: Array) -> Value:
    """p + 1 micro-batches, both directions together."""
    return np.minimum(layouts["micro_batches"], layouts["pp"] + 1)


def dualpipev_in_flight(_context: Context, layouts: Layouts, _stage: Array) -> Value:
    """2p + 1 chunks."""
    return np.minimum(2 * layouts["micro_batches"], 2 * layouts["pp"] + 1)


def dualpipe_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Stages and micro-batches in pairs, and enough micro-batches to fill both directions."""
    pp, micro_batches = layouts["pp"], layouts["micro_batches"]
    yield Refusal(reason="dualpipe runs one chunk per stage and direction", where=layouts["vpp"] > 1)
    yield Refusal(reason="dualpipe needs an even number of stages", where=~is_multiple(pp, 2))
    yield Refusal(reason="dualpipe needs an even number of micro-batches", where=~is_multiple(micro_batches, 2))
    yield Refusal(reason="dualpipe needs 2 x pp micro-batches", where=micro_batches < 2 * pp)


def dualpipev_refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """Two chunks on each of several stages, and a micro-batch for each chunk of the pipeline."""
    yield Refusal(reason="dualpipev needs pipeline stages", where=layouts["pp"] == 1)
    yield Refusal(reason="dualpipev runs two chunks per stage (vpp 2)", where=layouts["vpp"] != 2)
    yield Refusal(reason="dualpipev needs 2 x pp micro-batches", where=layouts["micro_batches"] < 2 * layouts["pp"])


@hookimpl
def planner_schedules() -> Iterator[Schedule]:
    """dualpipe and dualpipev."""
    yield Schedule(
        name="dualpipe", chunks_in_flight=dualpipe_in_flight, bubble_s=dualpipe_idle_s, refusals=dualpipe_refusals,
        parameter_copies=2.0, expert_overlap=1.0, source=SOURCE,
    )  # fmt: skip
    yield Schedule(
        name="dualpipev", chunks_in_flight=dualpipev_in_flight, bubble_s=dualpipev_idle_s,
        refusals=dualpipev_refusals, folded=True, expert_overlap=1.0, source=SOURCE,
    )  # fmt: skip
