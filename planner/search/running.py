"""The whole run of every layout: its energy by what the accelerators do, and how long it takes with failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.domain.mesh import Array
from planner.domain.running import Power, Reliability
from planner.formulas import energy, goodput

COMPUTING: Final = ("forward", "backward", "recompute")
STREAMING: Final = ("optimizer",)
WAITING: Final = ("tp", "cp", "ep", "pp", "dp", "bubble", "other")
"""What accelerators do in each component of a step's time: kernels, memory traffic alone, waiting for another device."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy [kWh] of the run per layout; `accelerator_w` is the mean power of one, `kg_per_kwh` the grid's carbon."""

    accelerators_kwh: Array
    hosts_kwh: Array
    facility_kwh: Array
    carbon_kg: Array | None
    accelerator_w: Array


@dataclass(frozen=True, slots=True)
class Progress:
    """Per number of GPUs: which share of the time is progress, and what makes it so (`planner.formulas.goodput`)."""

    goodput: Array
    least_goodput: Array
    most_goodput: Array
    interrupt_s: Array
    write_s: Array
    stall_s: Array
    interval_s: Array
    young_interval_s: Array
    restart_s: Array

    def wall_s(self, run_s: Array) -> Array:
        """Seconds until a run of `run_s` without failures is done; infinite where it makes no progress."""
        with np.errstate(divide="ignore"):
            return run_s / self.goodput

    def waiting_s(self, run_s: Array) -> Array:
        """The part of `wall_s` in which the accelerators wait for checkpoints and restarts."""
        wall_s = self.wall_s(run_s)
        return goodput.waiting_s(run_s, wall_s, self.interval_s, self.stall_s, self.restart_s, self.interrupt_s)


def accelerator_w(power: Power, components: Mapping[str, Array], step_s: Array) -> Array:
    """Mean power [W] of one accelerator in a step with these `components` [s]: the layout's mix decides it."""
    return (
        energy.step_energy_j(
            _sum(components, COMPUTING), _sum(components, STREAMING), _sum(components, WAITING),
            power.computing_w, power.streaming_w, power.waiting_w,
        )
        / step_s
    )  # fmt: skip


def run_energy(power: Power, n_gpus: Array, run_s: Array, mean_w: Array) -> Energy:
    """Energy of `run_s` at `mean_w` per accelerator."""
    accelerators = energy.energy_kwh(n_gpus, run_s, mean_w)
    hosts = energy.energy_kwh(n_gpus, run_s, power.host_w)
    facility = energy.facility_kwh(accelerators + hosts, power.pue)
    intensity = power.carbon_kg_per_kwh
    carbon = None if intensity is None else energy.carbon_kg(facility, intensity)
    return Energy(accelerators, hosts, facility, carbon, mean_w)


def progress(reliability: Reliability, n_gpus: Array) -> Progress:
    """Goodput at the interval asked for, or at the one that loses least (Daly's); it depends on the number of GPUs alone."""
    per_gpu, most = reliability.bytes_per_s_per_gpu, reliability.most_bytes_per_s
    paths = np.maximum(n_gpus, reliability.gpus_per_node)
    write_s = goodput.write_s(reliability.checkpoint_bytes, paths, per_gpu, most)
    stall_s, lag_s = write_s, np.zeros_like(write_s)
    if reliability.asynchronous:
        host = reliability.host_bytes_per_s
        copied_s = 0.0 if host is None else reliability.checkpoint_bytes / n_gpus / host
        stall_s, lag_s = reliability.stall_s + copied_s + np.zeros_like(write_s), write_s
    restart_s = reliability.restart_s + write_s

    def at(failures_per_gpu_day: float) -> tuple[Array, Array, Array, Array]:
        interrupt_s = goodput.mean_time_to_interrupt_s(n_gpus, failures_per_gpu_day)
        # An asynchronous checkpoint is begun when the one before it is written.
        interval_s = np.maximum(goodput.daly_interval_s(stall_s, interrupt_s), lag_s)
        if reliability.interval_s is not None:
            interval_s = np.maximum(reliability.interval_s + np.zeros_like(write_s), lag_s)
        share = goodput.goodput(interval_s, stall_s, lag_s, restart_s, interrupt_s)
        return share, interval_s, interrupt_s, goodput.young_interval_s(stall_s, interrupt_s)

    share, interval_s, interrupt_s, young_s = at(reliability.failures_per_gpu_day)
    least, most_share = at(reliability.most_failures_per_gpu_day)[0], at(reliability.least_failures_per_gpu_day)[0]
    return Progress(share, least, most_share, interrupt_s, write_s, stall_s, interval_s, young_s, restart_s)


def expected_energy(power: Power, n_gpus: Array, run_s: Array, mean_w: Array, found: Progress) -> Energy:
    """Energy with failures: work done again draws what work draws, checkpoints and restarts what idle accelerators draw."""
    wall_s, waiting_s = found.wall_s(run_s), found.waiting_s(run_s)
    with np.errstate(invalid="ignore"):
        idle_share = np.where(np.isfinite(wall_s), waiting_s / wall_s, 0.0)
    return run_energy(power, n_gpus, wall_s, mean_w * (1.0 - idle_share) + power.idle_w * idle_share)


def _sum(components: Mapping[str, Array], names: Sequence[str]) -> Array:
    total: Array = np.zeros(1)
    for name in names:
        if name in components:
            total = total + components[name]
    return total
