"""Failures, checkpoints and restarts: how often to checkpoint, and which share of the time is progress."""

from __future__ import annotations

from typing import Final

import numpy as np

from planner.domain.mesh import Array
from planner.units import SECONDS_PER_DAY

NEVER_S: Final = 1e15
"""Stands for a machine that does not fail: thirty million years."""


def mean_time_to_interrupt_s(n_gpus: Array, failures_per_gpu_day: Array | float) -> Array:
    """Mean time [s] between interruptions of a job on `n_gpus`, any one of which stops it: day / (rate * GPUs).

    Holds for independent failures. Jobs of few GPUs are interrupted more often than that, by software and people: 3.7 times
    as often at 1,024 GPUs (Kokolis et al., arXiv:2410.21680, section III, where the same law gives 1.8 h at 16,384).

    >>> f"{mean_time_to_interrupt_s(np.asarray(16384.0), 6.5e-3 / 8) / 3600:.1f} h"
    '1.8 h'
    """
    per_day = np.asarray(n_gpus * failures_per_gpu_day, dtype=np.float64)
    return np.minimum(SECONDS_PER_DAY / np.maximum(per_day, SECONDS_PER_DAY / NEVER_S), NEVER_S)


def write_s(checkpoint_bytes: float, n_gpus: Array, bytes_per_s_per_gpu: float, most_bytes_per_s: float) -> Array:
    """Seconds to write (or read) a checkpoint: all GPUs write their part at once, until the storage is saturated.

    `checkpoint_bytes` [byte] in all, `bytes_per_s_per_gpu` what one GPU's part of the storage network takes,
    `most_bytes_per_s` what the storage takes in all. BLOOM's 2,300 GB took 40 s from 384 GPUs (BigScience, tr11-176B
    chronicles).

    >>> f"{write_s(2300e9, np.asarray(384.0), 57.5e9 / 384, 2e12):.0f} s"
    '40 s'
    """
    return checkpoint_bytes / np.minimum(n_gpus * bytes_per_s_per_gpu, most_bytes_per_s)


def young_interval_s(stall_s: Array, interrupt_s: Array) -> Array:
    """Work [s] between checkpoints that loses least, to first order: sqrt(2 * stall * mean time to interrupt).

    `stall_s` is how long a checkpoint stops the job. Young, "A First Order Approximation to the Optimum Checkpoint Interval",
    CACM 17(9), 1974. Holds where the stall is far below the mean time to interrupt.

    >>> f"{young_interval_s(np.asarray(360.0), np.asarray(18000.0)) / 3600:.1f} h"
    '1.0 h'
    """
    return np.sqrt(2.0 * stall_s * interrupt_s)


def daly_interval_s(stall_s: Array, interrupt_s: Array) -> Array:
    """Work [s] between checkpoints that loses least, to third order; the restart time does not change it.

    sqrt(2 d M) * (1 + sqrt(d / 2M) / 3 + (d / 2M) / 9) - d for d < 2 M, else M, with d = `stall_s` and M = `interrupt_s`.
    Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", FGCS 22(3), 2006, eq. 37: within
    0.2 % of the least time that any interval gives.
    """
    share = stall_s / (2.0 * interrupt_s)
    interval = np.sqrt(2.0 * stall_s * interrupt_s) * (1.0 + np.sqrt(share) / 3.0 + share / 9.0) - stall_s
    return np.where(share < 1.0, interval, interrupt_s)


def goodput(interval_s: Array, stall_s: Array, lag_s: Array, restart_s: Array, interrupt_s: Array) -> Array:
    """The share of wall-clock time that is progress: 1 = every second trains, and is not lost again.

    tau / (M e^((R + lag) / M) (e^((tau + stall) / M) - 1)): after each interruption a restart of R, which may be interrupted
    itself, and the work since the last checkpoint again. Daly 2006 (see `daly_interval_s`), the complete cost function, for
    interruptions at random (exponential) times with mean M. `lag_s`: how long after the job went on an asynchronous
    checkpoint becomes durable; a failure loses that much work besides.
    """
    with np.errstate(over="ignore"):
        interval_wall_s = interrupt_s * np.exp((restart_s + lag_s) / interrupt_s)
        interval_wall_s = interval_wall_s * np.expm1((interval_s + stall_s) / interrupt_s)
        return interval_s / interval_wall_s


def waiting_s(
    run_s: Array, wall_s: Array, interval_s: Array, stall_s: Array, restart_s: Array, interrupt_s: Array
) -> Array:
    """Of `wall_s` for `run_s` of progress, the seconds in which accelerators wait: checkpoints that stop the job, restarts.

    The rest beyond `run_s` is work done again. Expected values: wall / M restarts of R, run / tau checkpoints
    (arXiv:2410.21680, section IV, counts the same way). Never more than there is beyond `run_s`.
    """
    waited = wall_s / interrupt_s * restart_s + run_s / interval_s * stall_s
    return np.minimum(waited, wall_s - run_s)
