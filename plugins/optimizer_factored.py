"""Optimizers that keep the second moment of a matrix as its row and column means: Adafactor and CAME."""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import LocalGroup, Optimizer, State, Storage, Value, hookimpl

FLOAT32_BYTES = 4.0
"""Both convert 16-bit gradients first, so that every state is float32 whatever the recipe."""


SMALLEST_ALLOCATION_BYTES = 512
"""PyTorch's caching allocator rounds every tensor up to this (c10/cuda/CUDACachingAllocator.cpp, kMinBlockSize)."""


def factored(name: str, local: LocalGroup) -> Iterator[State]:
    """A second moment: rows and columns of each matrix; a vector's is whole."""
    if local.group.rows:
        yield State(name=f"{name}, rows", elements=local.count * local.rows, bytes_per_element=FLOAT32_BYTES)
        yield State(name=f"{name}, columns", elements=local.count * local.columns, bytes_per_element=FLOAT32_BYTES)
    else:
        yield State(name=name, elements=local.elements, bytes_per_element=FLOAT32_BYTES)


def adafactor_states(local: LocalGroup, storage: Storage) -> Iterator[State]:  # noqa: ARG001 - float32 always
    """Adafactor without a first moment, as it is used by default; its step counter is one smallest allocation per tensor."""
    yield from factored("variance", local)
    yield State(name="step", elements=local.count, bytes_per_element=SMALLEST_ALLOCATION_BYTES, sharded=False)


def came_states(local: LocalGroup, storage: Storage) -> Iterator[State]:  # noqa: ARG001 - float32 always
    """A whole first moment, and factored second moments of the gradient and of the update's instability."""
    yield State(name="momentum", elements=local.elements, bytes_per_element=FLOAT32_BYTES)
    yield from factored("variance", local)
    if local.group.rows:  # vectors have no confidence term
        yield from factored("instability", local)


def float32_update(local: LocalGroup, storage: Storage) -> Value:
    """The update of one parameter at a time, in float32: update and its negation, copies of 16-bit gradient and weight.

    The factors of rows and columns come on top. Equals to the byte what PyTorch allocates for transformers' Adafactor.
    """
    copies = 2 + (storage.gradient_bytes < FLOAT32_BYTES) + (storage.weight_bytes < FLOAT32_BYTES)
    return FLOAT32_BYTES * (copies * local.rows * local.columns + local.rows + local.columns)


@hookimpl
def planner_optimizers() -> Iterator[Optimizer]:
    """adafactor and came. Step FLOPs and traffic are counted from the unfused PyTorch code, one pass per operation."""
    yield Optimizer(
        name="adafactor",
        states=adafactor_states,
        temporary_bytes=float32_update,
        step_flops_per_parameter=13.0,
        step_bytes_per_parameter=80.0,
        source="arXiv:1804.04235, algorithm 4; huggingface/transformers src/transformers/optimization.py",
    )
    yield Optimizer(
        name="came",
        states=came_states,
        temporary_bytes=float32_update,
        step_flops_per_parameter=23.0,
        step_bytes_per_parameter=160.0,
        source="arXiv:2307.02047, algorithm 2; yangluo7/CAME came_pytorch/CAME.py",
    )
