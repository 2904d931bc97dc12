"""Numbers as people write them, where `planner.units` has no form of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.units import GIB, MEGA, MIB, TERA, format_bytes, format_count

NOTHING: Final = "—"
_SMALL: Final = GIB / 20
"""Below this, one decimal place of a GiB says nothing."""


def percent(fraction: float) -> str:
    """A fraction as a percentage.

    >>> percent(0.4567)
    '45.7 %'
    """
    return f"{fraction:.1%}".replace("%", " %")


def share(part: float, whole: float) -> float:
    """`part` of `whole`, 0 where there is no whole."""
    return part / whole if whole else 0.0


def quantity(value: float, unit: str) -> str:
    """A value with its unit, scaled to what people read.

    >>> quantity(2**31, "bytes"), quantity(8.03e9, "parameters"), quantity(0.25, "fraction")
    ('2.0 GiB', '8.03B parameters', '25.0 %')
    """
    match unit:
        case "bytes" | "byte" | "B":
            return f"{value / MIB:,.1f} MiB" if 0 < value < _SMALL else format_bytes(value)
        case "s" | "seconds":
            return seconds(value)
        case "fraction":
            return percent(value)
        case "GPUs" | "GPU":
            return gpus(round(value))
        case "":
            return f"{value:,.4g}"
    # Beyond peta a prefix says less than an exponent.
    return f"{value:.3g} {unit}" if abs(value) >= 1000 * TERA else f"{format_count(value)} {unit}"


def seconds(value: float) -> str:
    """A step's time, which people compare in seconds.

    >>> seconds(236.41), seconds(0.0492), seconds(0.0)
    ('236.4 s', '49.2 ms', '0 s')
    """
    if value == 0:
        return "0 s"
    return f"{value:,.1f} s" if abs(value) >= 1 else f"{value * 1e3:,.1f} ms"


def gpus(count: int) -> str:
    """A number of GPUs.

    >>> gpus(1), gpus(4096)
    ('1 GPU', '4,096 GPUs')
    """
    return f"{count:,} GPU" if count == 1 else f"{count:,} GPUs"


def value_text(value: Any) -> str:  # noqa: ANN401 - an assumption's or a source's value is anything
    """Any value in one line.

    >>> value_text({"a": 1, "b": [1.5, None]})
    'a 1, b 1.5 —'
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_count(value) if abs(value) >= MEGA else f"{value:,.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(entry)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return " ".join(value_text(entry) for entry in value)
    return str(value)
