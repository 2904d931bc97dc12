"""Adam, AdamW in its two PyTorch implementations, and AdamW with 8-bit states."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.plugin import LocalGroup, Optimizer, State, Storage, Value, hookimpl

BLOCK = 256
"""Elements that share one scale in bitsandbytes' 8-bit states since 0.44 (2,048 before)."""
SMALLEST_QUANTISED = 4096
"""Tensors with fewer elements keep float32 states (bitsandbytes' min_8bit_size)."""


def two_moments(local: LocalGroup, storage: Storage) -> Iterator[State]:
    """Running averages of the gradient and of its square, as wide as the framework keeps moments."""
    yield State(name="momentum", elements=local.elements, bytes_per_element=storage.state_bytes)
    yield State(name="variance", elements=local.elements, bytes_per_element=storage.state_bytes)


def square_root_of_variance(local: LocalGroup, storage: Storage) -> Value:
    """The multi-tensor implementation materialises the denominator √v of all parameters at once."""
    return local.elements * storage.state_bytes


def eight_bit_moments(local: LocalGroup, storage: Storage) -> Iterator[State]:  # noqa: ARG001 - one format, whatever the recipe
    """Two moments in 8 bits with a float32 scale per block of each tensor; small tensors in float32."""
    size = local.rows * local.columns
    quantised = size >= SMALLEST_QUANTISED
    for moment in ("momentum", "variance"):
        yield State(name=f"{moment}, 8 bits", elements=np.where(quantised, local.elements, 0.0), bytes_per_element=1.0)
        yield State(
            name=f"{moment} scales",
            elements=np.where(quantised, local.count * np.ceil(size / BLOCK), 0.0),
            bytes_per_element=4.0,
        )
        yield State(
            name=f"{moment} of small tensors",
            elements=np.where(quantised, 0.0, local.elements),
            bytes_per_element=4.0,
        )


@hookimpl
def planner_optimizers() -> Iterator[Optimizer]:
    """adamw and adam (fused: no temporaries), adamw-foreach, adamw-8bit."""
    yield Optimizer(
        name="adamw",
        states=two_moments,
        source="arXiv:1711.05101, algorithm 2; PyTorch torch/optim/adamw.py with fused=True",
    )
    yield Optimizer(
        name="adam",
        states=two_moments,
        source="arXiv:1412.6980, algorithm 1; PyTorch torch/optim/adam.py with fused=True",
    )
    yield Optimizer(
        name="adamw-foreach",
        temporaries_add=True,
        states=two_moments,
        temporary_bytes=square_root_of_variance,
        # √v is written once and read once more than in the fused update.
        step_bytes_per_parameter=8.0,
        source="PyTorch torch/optim/adam.py, _multi_tensor_adam: exp_avg_sq_sqrt",
    )
    yield Optimizer(
        name="adamw-8bit",
        states=eight_bit_moments,
        source="arXiv:2110.02861, section 2; bitsandbytes 0.44 bitsandbytes/optim/optimizer.py and pull request 1365",
    )
