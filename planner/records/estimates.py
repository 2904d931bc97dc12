"""Rules of thumb, and branches of the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateInput:
    """What a rule of thumb is given; shape fields are None when only a parameter count is known."""

    params: float
    gpu_memory_bytes: float | None = None
    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    seq_len: int | None = None
    micro_batch: int = 1
    tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One line of `planner estimate`: a named value with its unit, formula, and where the rule comes from."""

    name: str
    value: float
    unit: str
    formula: str
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """A closed form that a person can check by hand; returns nothing where its inputs are unknown."""

    name: str
    estimates: Callable[[EstimateInput], Iterable[Estimate]]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogBranch:
    """An Alembic branch of a plugin: its label (revision ids begin with ``<label>_``) and the directory of revisions."""

    label: str
    directory: Any
