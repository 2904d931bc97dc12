"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import LocalGroup, Optimizer, State, Storage, hookimpl


def no_states(local: LocalGroup, storage: Storage) -> Iterator[State]:  # noqa: ARG001 - nothing depends on them
    """Plain gradient descent remembers nothing."""
    return iter(())


def momentum(local: LocalGroup, storage: Storage) -> Iterator[State]:
    """One velocity per parameter."""
    yield State(name="momentum", elements=local.elements, bytes_per_element=storage.state_bytes)


@hookimpl
def planner_optimizers() -> Iterator[Optimizer]:
    """sgd and sgd-momentum."""
    yield Optimizer(
        name="sgd",
        states=no_states,
        step_flops_per_parameter=4.0,  # weight decay and step, a multiplication and an addition each
        source="PyTorch torch/optim/sgd.py with momentum=0",
    )
    yield Optimizer(
        name="sgd-momentum",
        states=momentum,
        step_flops_per_parameter=6.0,
        source="PyTorch torch/optim/sgd.py: one momentum_buffer per parameter",
    )
