"""A whole run: how long, how much money, how much energy (FORMULAS section 9)."""

from __future__ import annotations

from planner.domain.mesh import Array
from planner.units import JOULES_PER_KWH, SECONDS_PER_HOUR


def duration_s(tokens: float, tokens_per_step: float, step_time_s: Array) -> Array:
    """Seconds to train on `tokens`: steps (a fraction of the last one counts) times the step's time."""
    return tokens / tokens_per_step * step_time_s


def cost_usd(n_gpus: Array, run_s: Array, usd_per_gpu_hour: float) -> Array:
    """GPU-hours times the price of one. Idle time, failures and storage are not in it."""
    return n_gpus * run_s / SECONDS_PER_HOUR * usd_per_gpu_hour


def energy_kwh(n_gpus: Array, run_s: Array, power_w: float) -> Array:
    """Energy of the accelerators alone at `power_w` each; hosts, network and cooling (PUE) are not in it."""
    return n_gpus * run_s * power_w / JOULES_PER_KWH
