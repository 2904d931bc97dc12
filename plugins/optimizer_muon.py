"""Muon: orthogonalised momentum for hidden matrices, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planner.plugin import Array, LocalGroup, Optimizer, Part, State, Storage, Value, hookimpl

BFLOAT16_BYTES = 2.0


def muon_states(local: LocalGroup, storage: Storage) -> Iterator[State]:
    """One momentum for hidden matrices; embedding, head, norms and biases keep AdamW's two moments."""
    yield State(name="momentum", elements=local.elements, bytes_per_element=storage.state_bytes)
    if local.group.part is not Part.MATRIX:
        yield State(name="variance", elements=local.elements, bytes_per_element=storage.state_bytes)


def newton_schulz(local: LocalGroup, storage: Storage) -> Value:  # noqa: ARG001 - bfloat16 whatever the recipe
    """Four copies of one matrix and two Gram matrices of its shorter side live at the end of an iteration."""
    if local.group.part is not Part.MATRIX:
        return 0.0
    shorter: Array = np.minimum(local.rows, local.columns)
    return BFLOAT16_BYTES * (4 * local.rows * local.columns + 2 * shorter * shorter)


@hookimpl
def planner_optimizers() -> Iterator[Optimizer]:
    """The muon optimizer."""
    yield Optimizer(
        name="muon",
        states=muon_states,
        temporary_bytes=newton_schulz,
        # Five iterations over bfloat16 matrices, nine passes each: three GEMMs and the sums between them.
        step_bytes_per_parameter=90.0,
        source="arXiv:2502.16982, section 2; KellerJordan/Muon muon.py, MuonWithAuxAdam",
    )
