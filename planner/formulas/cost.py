"""What a run costs: paid hours times the price of one."""

from __future__ import annotations

from planner.domain.mesh import Array
from planner.units import SECONDS_PER_HOUR


def cost_usd(n_gpus: Array, run_s: Array, usd_per_gpu_hour: float, utilisation: float = 1.0) -> Array:
    """US dollars of `n_gpus` for `run_s`, where the fraction `utilisation` of the paid hours trains (FORMULAS section 9).

    Storage, network traffic and staff are not in it. DeepSeek-V3's 2.788 million H800-hours at 2 dollars
    (arXiv:2412.19437, table 1):

    >>> import numpy as np
    >>> f"{cost_usd(np.asarray(2048.0), np.asarray(2.788e6 / 2048 * 3600), 2.0) / 1e6:.3f} million"
    '5.576 million'
    """
    return n_gpus * run_s / SECONDS_PER_HOUR * usd_per_gpu_hour / utilisation
