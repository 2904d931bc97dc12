"""Which constants of the planner are fitted to measured runs, and to which: what is predicted for those rows proves less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A constant by its name, and the rows that it was fitted to by what their ids begin with."""

    constant: str
    rows: tuple[str, ...]


FITS: Final = (
    Fit(
        constant="SUSTAINED_MATMUL",
        rows=("MB", "DGXC", "MLPERF", "NEMO", "BLOOM", "KORTH", "internevo", "fms", "maxtext", "tpurecipes"),
    ),
    Fit(constant="HOST_S_PER_OPERATOR", rows=("VTSALL",)),
    Fit(constant="NANOTRON_GRADIENT_OVERLAP", rows=("ultra",)),
)
"""A test compares this list with the constants whose text says that they are fitted."""


def fitted(row: Mapping[str, str]) -> bool:
    """Whether a constant was fitted to the group of rows that this one belongs to.

    >>> fitted({"id": "MB-017"}), fitted({"id": "MBX-017"}), fitted({})
    (True, False, False)
    """
    group = row.get("id", "").partition("-")[0]
    return any(group in fit.rows for fit in FITS)
