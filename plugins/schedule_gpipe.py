"""GPipe: all micro-batches forward, then all backward.

Source: arXiv 1811.06965, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from planner.plugin import Array, Context, Layouts, Refusal, Schedule, StageTimes, Value, hookimpl


def in_flight(_context: Context, layouts: Layouts, _stage: Array) -> Value:
    """Every stage holds all m micro-batches when the first backward begins."""
    return layouts["micro_batches"]


def idle_s(_context: Context, _layouts: Layouts, times: StageTimes) -> Value:
    """One micro-batch's time on all stages but the slowest: (p − 1)(F + B) when stages are equal, as in 1F1B."""
    return times.total_forward_s + times.total_backward_s - times.slowest_forward_s - times.slowest_backward_s


def refusals(_context: Context, layouts: Layouts) -> Iterable[Refusal]:
    """One chunk per stage; without stages micro-batches run one after the other."""
    yield Refusal(reason="gpipe needs pipeline stages", where=layouts["pp"] == 1)
    yield Refusal(reason="gpipe runs one chunk per stage", where=layouts["vpp"] > 1)


@hookimpl
def planner_schedules() -> Iterator[Schedule]:
    """GPipe."""
    yield Schedule(
        name="gpipe",
        chunks_in_flight=in_flight,
        bubble_s=idle_s,
        refusals=refusals,
        source="arXiv:1811.06965, section 2.3",
    )
