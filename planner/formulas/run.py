"""A whole run: how long it takes without failures (FORMULAS section 9)."""

from __future__ import annotations

from planner.domain.mesh import Array


def duration_s(tokens: float, tokens_per_step: float, step_time_s: Array) -> Array:
    """Seconds to train on `tokens`: steps (a fraction of the last one counts) times the step's time."""
    return tokens / tokens_per_step * step_time_s
