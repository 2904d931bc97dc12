"""Columns of the catalog as people read them: the unit in a column's name decides how its values are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.reports.figures import value_text
from planner.units import GIGA, TERA, format_bytes, format_usd

_RATE: Final = "_bytes_per_s"
_COMPUTE: Final = "_flop_per_s"
_SIZE: Final = "_bytes"
_POWER: Final = "_w"
_PRICE: Final = "usd_per_"
_AS_THEY_ARE: Final = frozenset({"year"})


def title(column: str) -> str:
    """A column's name without its unit.

    >>> title("memory_bandwidth_bytes_per_s"), title("usd_per_accelerator_hour")
    ('memory bandwidth', 'USD/GPU-h')
    """
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
    >>> text("memory_bandwidth_bytes_per_s", 3.352e12)
    '3.352 TB/s'
    >>> text("peak_flop_per_s", {"bf16": 3.12e14}), text("year", 2020), text("tdp_w", 400.0)
    ('bf16 312 TFLOP/s', '2020', '400 W')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text(column, entry)}" for key, entry in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float) or column in _AS_THEY_ARE:
        return str(value) if column in _AS_THEY_ARE and value is not None else value_text(value)
    if column.endswith(_RATE):
        return f"{value / TERA:,.4g} TB/s" if value >= TERA else f"{value / GIGA:,.1f} GB/s"
    if column.endswith(_COMPUTE):
        return f"{value / TERA:,.4g} TFLOP/s"
    if column.endswith(_SIZE):
        return format_bytes(value)
    if column.endswith(_POWER):
        return f"{value:,g} W"
    return format_usd(value) if column.startswith(_PRICE) else value_text(value)
