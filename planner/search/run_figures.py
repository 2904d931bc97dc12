"""From arrays to figures: one layout's energy and expected run, as an answer shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from planner.domain.mesh import Array
from planner.domain.running import EnergyUse, ExpectedRun
from planner.plugin import Context
from planner.search.measures import Measures

LEAST_GOODPUT: Final = 1e-3
"""Below this a run is said to never end: its expected time is no plan."""


def energy_use(context: Context, found: Measures, row: int) -> EnergyUse | None:
    """The energy of the `row`-th layout; None where no power is known."""
    power = context.operating.power
    if power is None or found.energy is None:
        return None
    at = _reader(row)
    return EnergyUse(
        accelerators_kwh=at(found.energy.accelerators_kwh),
        hosts_kwh=at(found.energy.hosts_kwh),
        facility_kwh=at(found.energy.facility_kwh),
        accelerator_w=at(found.energy.accelerator_w),
        pue=power.pue,
        carbon_kg=None if found.energy.carbon_kg is None else at(found.energy.carbon_kg),
    )


def expected_run(context: Context, found: Measures, row: int) -> ExpectedRun | None:
    """The run of the `row`-th layout as it can be expected; None where nothing is known of failures."""
    reliability, expected = context.operating.reliability, found.expected
    if reliability is None or expected is None:
        return None
    at, progress = _reader(row), expected.progress

    ends = at(progress.goodput) >= LEAST_GOODPUT

    def known(array: Array | None) -> float | None:
        return at(array) if ends and array is not None else None

    duration_s = known(expected.duration_s)
    used = expected.energy
    return ExpectedRun(
        goodput=at(progress.goodput),
        goodput_range=(at(progress.least_goodput), at(progress.most_goodput)),
        duration_s=duration_s,
        cost_usd=known(expected.cost_usd),
        energy_kwh=None if used is None else known(used.facility_kwh),
        carbon_kg=None if used is None else known(used.carbon_kg),
        interruptions=None if duration_s is None else duration_s / at(progress.interrupt_s),
        mean_time_to_interrupt_s=at(progress.interrupt_s),
        failures_per_gpu_day=reliability.failures_per_gpu_day,
        checkpoint_bytes=reliability.checkpoint_bytes,
        checkpoint_write_s=at(progress.write_s),
        checkpoint_stall_s=at(progress.stall_s),
        interval_s=at(progress.interval_s),
        young_interval_s=at(progress.young_interval_s),
        restart_s=at(progress.restart_s),
    )


def value_at(array: Array, row: int) -> float:
    """The value of layout `row` in an array over the layouts of a flat mesh, or in one that is the same for all."""
    flat = np.asarray(array).reshape(-1)
    return float(flat[row] if flat.size > 1 else flat[0])


def _reader(row: int) -> Callable[[Array], float]:
    return lambda array: value_at(array, row)
