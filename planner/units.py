"""Units at the door: the only module where 1e9 or 2**30 is written.

Inside the planner everything is bytes, seconds, FLOPs, US dollars and fractions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

KILO: Final = 10**3
MEGA: Final = 10**6
GIGA: Final = 10**9
TERA: Final = 10**12
KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30

SECONDS_PER_HOUR: Final = 3600.0
SECONDS_PER_DAY: Final = 86400.0
JOULES_PER_KWH: Final = 3.6e6
BITS_PER_BYTE: Final = 8

_SUFFIXES: Final = {
    "": 1, "k": KILO, "m": MEGA, "g": GIGA, "b": GIGA, "t": TERA,
    "kib": KIB, "mib": MIB, "gib": GIB, "tib": 2**40,
    "kb": KILO, "mb": MEGA, "gb": GIGA, "tb": TERA,
}  # fmt: skip
_DURATIONS: Final = {"s": 1.0, "m": 60.0, "h": SECONDS_PER_HOUR, "d": SECONDS_PER_DAY, "w": 7 * SECONDS_PER_DAY}
_PREFIXES: Final = {
    "": 1, "k": KILO, "K": KILO, "M": MEGA, "G": GIGA, "T": TERA, "P": 10**15, "E": 10**18,
    "Ki": KIB, "Mi": MIB, "Gi": GIB, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip
_MEASURE: Final = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([KMGTPE]i?|k)?([A-Za-z/]*)\s*")
_BYTE_UNITS: Final = {"": 1.0, "B": 1.0}
_RATE_UNITS: Final = {
    "": 1.0, "B/s": 1.0, "Bps": 1.0,
    **dict.fromkeys(("b/s", "bit/s", "bps", "bits/s"), 1 / BITS_PER_BYTE),
}  # fmt: skip
_COMPUTE_UNITS: Final = dict.fromkeys(("", "FLOP/s", "FLOPS", "FLOPs", "FLOPs/s", "OP/s", "OPS"), 1.0)
_POWER_UNITS: Final = {"": 1.0, "W": 1.0}
_SMALL_BYTES: Final = re.compile(r"(?<=[0-9.\s])([kmgtp])(i?)b(?=\s*$)")
_NUMBER: Final = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*$")


def _split(text: str) -> tuple[float, str]:
    match = _NUMBER.match(text.replace(",", "").replace("_", ""))
    if match is None:
        raise ValueError(f"{text!r} is not a number with an optional unit")
    return float(match.group(1)), match.group(2)


def parse_quantity(text: str) -> float:
    """A count or a size as people write it: ``7e9``, ``15T``, ``8B``, ``80GB``, ``40GiB``. Raises ValueError."""
    number, suffix = _split(text)
    factor = _SUFFIXES.get(suffix.lower())
    if factor is None:
        raise ValueError(f"{text!r} has the unknown unit {suffix!r}")
    return number * factor


def parse_bytes(text: str) -> float:
    """A size: ``80GiB``, ``80 GB``, ``80gb``, ``512Gi``, a bare number of bytes. Raises ValueError.

    All in small letters the b is a byte, as people type it; ``80Gb`` could be bits and is refused.
    """
    return _measure(
        _SMALL_BYTES.sub(lambda found: f"{found[1].upper()}{found[2]}B", text), _BYTE_UNITS, "80GiB or 80GB"
    )


def parse_bytes_per_s(text: str) -> float:
    """A bandwidth in bytes per second: ``50 GB/s``, ``400 Gbit/s`` and ``400Gb/s`` (bits), ``3.35TB/s``. Raises ValueError.

    >>> parse_bytes_per_s("400Gb/s"), parse_bytes_per_s("3.35 TB/s")
    (50000000000.0, 3350000000000.0)
    """
    return _measure(text, _RATE_UNITS, "50GB/s or 400Gbit/s")


def parse_flop_per_s(text: str) -> float:
    """A rate of arithmetic: ``989 TFLOP/s``, ``1.98 PFLOPS``. Raises ValueError."""
    return _measure(text, _COMPUTE_UNITS, "989TFLOP/s")


def parse_watts(text: str) -> float:
    """A power: ``700W``, ``1.2 kW``. Raises ValueError."""
    return _measure(text, _POWER_UNITS, "700W or 1.2kW")


def _measure(text: str, units: Mapping[str, float], example: str) -> float:
    match = _MEASURE.fullmatch(text.replace(",", "").replace("_", ""))
    factor = None if match is None else units.get(match.group(3))
    if match is None or factor is None:
        raise ValueError(f"{text!r} is no such amount: write {example}")
    return float(match.group(1)) * _PREFIXES[match.group(2) or ""] * factor


def parse_duration_s(text: str) -> float:
    """A duration as people write it (``30d``, ``12h``, ``90m``; a bare number is seconds). Raises ValueError."""
    number, suffix = _split(text)
    factor = _DURATIONS.get(suffix.lower() or "s")
    if factor is None:
        raise ValueError(f"{text!r} has the unknown unit {suffix!r}: use s, m, h, d or w")
    return number * factor


def format_bytes(count: float) -> str:
    """Bytes as GiB (binary), the unit in which GPUs' usable memory is printed."""
    return f"{count / GIB:.1f} GiB"


def format_missing_bytes(count: float) -> str:
    """What is missing, as GiB or MiB: however little it is, it is not nothing."""
    return format_bytes(count) if count >= 0.05 * GIB else f"{max(count / MIB, 0.1):.1f} MiB"


def format_count(count: float) -> str:
    """A large count with its decimal prefix: ``8.03B``, ``15.0T``."""
    for factor, suffix in ((TERA, "T"), (GIGA, "B"), (MEGA, "M"), (KILO, "k")):
        if abs(count) >= factor:
            return f"{count / factor:.3g}{suffix}"
    return f"{count:g}"


def format_duration(seconds: float) -> str:
    """A duration in the largest unit that keeps it above one."""
    for factor, suffix in ((SECONDS_PER_DAY, "days"), (SECONDS_PER_HOUR, "h"), (60.0, "min"), (1.0, "s")):
        if seconds >= factor:
            return f"{seconds / factor:,.1f} {suffix}"
    return f"{seconds * 1e3:.1f} ms"


def format_usd(amount: float) -> str:
    """US dollars, whole when large."""
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"
