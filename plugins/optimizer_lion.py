"""Lion: the sign of an interpolated momentum, one state per parameter."""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import LocalGroup, Optimizer, State, Storage, hookimpl


def momentum(local: LocalGroup, storage: Storage) -> Iterator[State]:
    """One momentum per parameter: half of Adam's states."""
    yield State(name="momentum", elements=local.elements, bytes_per_element=storage.state_bytes)


@hookimpl
def planner_optimizers() -> Iterator[Optimizer]:
    """The lion optimizer."""
    yield Optimizer(
        name="lion",
        states=momentum,
        # two interpolations of three operations each, sign, weight decay and step
        step_flops_per_parameter=11.0,
        source="arXiv:2302.06675, algorithm 2",
    )
