"""Numbers as people write them, where `planner.units` has no form of its own."""

from __future__ import annotations

from typing import Final

from planner.units import format_bytes, format_count, format_duration

NOTHING: Final = "—"


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
            return format_bytes(value)
        case "s" | "seconds":
            return format_duration(value)
        case "fraction":
            return percent(value)
        case "GPUs" | "GPU":
            return f"{value:,g} {unit}"
        case "":
            return f"{value:,.4g}"
    return f"{format_count(value)} {unit}"


def gpus(count: int) -> str:
    """A number of GPUs.

    >>> gpus(1), gpus(4096)
    ('1 GPU', '4,096 GPUs')
    """
    return f"{count:,} GPU" if count == 1 else f"{count:,} GPUs"
