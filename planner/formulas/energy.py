"""Power and energy of a run: accelerators by what they do, their hosts, the building, and what the grid emits for it."""

from __future__ import annotations

from planner.domain.mesh import Array
from planner.units import JOULES_PER_KWH


def step_energy_j(
    computing_s: Array, streaming_s: Array, waiting_s: Array, computing_w: float, streaming_w: float, waiting_w: float
) -> Array:
    """Energy [J] of one accelerator in one step: seconds of each kind times the power [W] drawn meanwhile.

    `computing_s`: kernels of forward, backward and recomputation; `streaming_s`: memory traffic without arithmetic (the
    optimizer); `waiting_s`: exposed communication and pipeline bubbles. FORMULAS section 9; the powers are
    `planner.operating`'s, each with its source.
    """
    return computing_s * computing_w + streaming_s * streaming_w + waiting_s * waiting_w


def energy_kwh(n_accelerators: Array, run_s: Array, power_w: Array | float) -> Array:
    """Energy [kWh] of `n_accelerators` that draw `power_w` [W] each on average for `run_s` (FORMULAS section 9).

    >>> import numpy as np
    >>> f"{energy_kwh(np.asarray(1082990.0), np.asarray(3600.0), 400.0):,.0f}"
    '433,196'

    That is BLOOM's dynamic energy: 1,082,990 GPU-hours at 400 W (arXiv:2211.02001).
    """
    return n_accelerators * run_s * power_w / JOULES_PER_KWH


def facility_kwh(equipment_kwh: Array, pue: float) -> Array:
    """What the building takes: accelerators and hosts [kWh] times power usage effectiveness (ISO/IEC 30134-2)."""
    return equipment_kwh * pue


def carbon_kg(energy_kwh: Array, kg_per_kwh: float) -> Array:
    """Emissions [kg CO2e] of electricity, location-based: energy times the grid's intensity (GHG Protocol, scope 2).

    >>> import numpy as np
    >>> f"{carbon_kg(np.asarray(433196.0), 0.057) / 1000:.1f} t"
    '24.7 t'

    That is BLOOM's dynamic emission in France (arXiv:2211.02001).
    """
    return energy_kwh * kg_per_kwh
