"""Columns of the catalog as people read them: the unit in a column's name decides how its values are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.reports.figures import value_text
from planner.units import GIGA, TERA, format_bytes, format_duration, format_usd

_RATE: Final = "_bytes_per_s"
_COMPUTE: Final = "_flop_per_s"
_SIZE: Final = "_bytes"
_POWER: Final = "_w"
_PRICE: Final = "usd_per_"
_AS_THEY_ARE: Final = frozenset({"year"})
_TITLES: Final = {
    "g_co2e_per_kwh": "g CO2e/kWh",
    "emissions_t_co2e": "t CO2e",
    "energy_kwh": "kWh",
    "accelerator_hours": "GPU-h",
    "events_per_accelerator_day": "events/GPU-day",
    "events_per_node_day": "events/node-day",
    "job_mtti_s": "MTTI",
    "write_s": "write time",
    "pue": "PUE",
}
"""Columns that people know by other words."""
_DURATIONS: Final = frozenset({"job_mtti_s", "write_s"})
_WATTS: Final = frozenset({"watts", "rated_watts"})


def title(column: str) -> str:
    """A column's name without its unit.

    >>> title("memory_bandwidth_bytes_per_s"), title("usd_per_accelerator_hour")
    ('memory bandwidth', 'USD/GPU-h')
    """
    if column in _TITLES:
        return _TITLES[column]
    for suffix in (_RATE, _COMPUTE, _SIZE, _POWER):
        if column.endswith(suffix):
            column = column.removesuffix(suffix)
            break
    return (
        column.replace("usd_per_accelerator", "usd_per_gpu").replace("usd_per_gpu_hour", "USD/GPU-h").replace("_", " ")
    )


def text(column: str, value: Any) -> str:  # noqa: ANN401 - what a column holds
    """A column's value with its unit.

    >>> text("capacity_bytes", 2**36), text("pcie_bytes_per_s", 32e9), text("bf16_flop_per_s", 3.12e14)
    ('64.0 GiB', '32.0 GB/s', '312 TFLOP/s')
    >>> text("bf16_flop_per_s", 1.5e16)
    '15,000 TFLOP/s'
    >>> text("memory_bandwidth_bytes_per_s", 3.352e12)
    '3.352 TB/s'
    >>> text("peak_flop_per_s", {"bf16": 3.12e14}), text("year", 2020), text("tdp_w", 400.0)
    ('bf16 312 TFLOP/s', '2020', '400 W')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text(column, entry)}" for key, entry in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float) or column in _AS_THEY_ARE:
        return str(value) if column in _AS_THEY_ARE and value is not None else value_text(value)
    if column in _DURATIONS:
        return format_duration(value)
    if column.endswith(_RATE):
        return f"{value / TERA:,.4g} TB/s" if value >= TERA else f"{value / GIGA:,.1f} GB/s"
    if column.endswith(_COMPUTE):
        # Four digits of 15,000 would be written with an exponent.
        return f"{value / TERA:,.0f} TFLOP/s" if value >= 1e4 * TERA else f"{value / TERA:,.4g} TFLOP/s"
    if column.endswith(_SIZE):
        return format_bytes(value)
    if column.endswith(_POWER) or column in _WATTS:
        return f"{value:,g} W"
    return format_usd(value) if column.startswith(_PRICE) else value_text(value)
