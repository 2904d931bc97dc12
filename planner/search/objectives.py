"""Looks at the whole space and keeps what answers: per number of GPUs the best layouts, the counts, the nearest miss."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Context
from planner.search.evaluation import Rules, evaluate_mesh, host_capacity_bytes, refused
from planner.search.measures import measures, step_energy_j
from planner.search.space import Space

DOES_NOT_FIT: Final = "does not fit in memory"
FILLS_THE_HOST: Final = "does not fit in the host's memory"
MISSES_DEADLINE: Final = "misses the deadline"
MISSES_BUDGET: Final = "exceeds the budget"
OBJECTIVES: Final = ("min-gpus", "time", "cost", "energy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a layout must meet: fraction of memory kept free, seconds and US dollars of the whole run as it can be expected,
    with failures and checkpoints."""

    headroom: float
    deadline_s: float | None = None
    budget_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feasible layout: its number of GPUs, step time, the mesh of itself, and the energy [J] of a step where it decides."""

    n_gpus: int
    step_time_s: float
    layouts: Layouts
    step_energy_j: float | None = None

    @property
    def order(self) -> float:
        """What candidates on as many GPUs are ordered by, least first."""
        return self.step_time_s if self.step_energy_j is None else self.step_energy_j


@dataclass(slots=True)
class Findings:
    """What a search has seen so far. `closest` is the allowed layout that needs least memory; `fastest` the one that fits
    and takes least time, whether or not it meets deadline and budget. `leanest` is the smallest peak [bytes] of the allowed
    layouts for each number of GPUs."""

    by_gpus: dict[int, list[Candidate]] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    layouts: int = 0
    feasible: int = 0
    elapsed_s: float = 0.0
    leanest: dict[int, float] = field(default_factory=dict)
    closest: tuple[float, Candidate] | None = None
    fastest: Candidate | None = None
    cheapest: Candidate | None = None

    def count(self, reason: str, number: int) -> None:
        """Book `number` layouts under `reason`."""
        if number:
            self.rejected[reason] = self.rejected.get(reason, 0) + number


def search(
    context: Context, space: Space, rules: Rules, limits: Limits, keep: int, *, by_energy: bool = False
) -> Findings:
    """Evaluate every layout of `space`; keep the `keep` fastest feasible ones for each number of GPUs.

    `by_energy`: those that need least energy instead, where the power is known.
    """
    started = time.perf_counter()
    findings = Findings()
    for layouts in space.chunks():
        _look_at(context, layouts, rules, limits, keep, findings, by_energy)
    findings.elapsed_s = time.perf_counter() - started
    return findings


def _look_at(
    context: Context, layouts: Layouts, rules: Rules, limits: Limits, keep: int, findings: Findings, by_energy: bool
) -> None:
    shape = layouts.shape
    forbidden, reasons = refused(context, layouts, rules)
    for reason, number in reasons.items():
        findings.count(reason, number)
    findings.layouts += forbidden.size
    if forbidden.all():
        return
    evaluation = evaluate_mesh(context, layouts, rules)
    peak = np.broadcast_to(evaluation.peak_bytes, shape)
    step_s = np.broadcast_to(evaluation.step.total_s, shape)
    n_gpus = np.broadcast_to(layouts["n_gpus"], shape)
    capacity = context.cluster.accelerator.memory_bytes
    fits = ~forbidden & (peak + limits.headroom * capacity <= capacity)
    findings.count(DOES_NOT_FIT, int(np.count_nonzero(~forbidden & ~fits)))
    if evaluation.memory.moved is not None:
        held = fits & (evaluation.host_bytes <= host_capacity_bytes(context, layouts))
        findings.count(FILLS_THE_HOST, int(np.count_nonzero(fits & ~held)))
        fits = held
    allowed_peak = np.where(forbidden, np.inf, peak)
    _remember_closest(layouts, allowed_peak, n_gpus, step_s, findings)
    _remember_leanest(layouts, allowed_peak, findings)
    meets = _meets(context, layouts, rules, limits, step_s, fits, findings)
    findings.feasible += int(np.count_nonzero(meets))
    _remember_extremes(layouts, fits, n_gpus, step_s, findings)
    energy_j = step_energy_j(context, layouts["n_gpus"], evaluation.step) if by_energy else None
    for candidate in _best_per_gpus(layouts, meets, n_gpus, step_s, energy_j, keep):
        findings.by_gpus.setdefault(candidate.n_gpus, []).append(candidate)
    for found in findings.by_gpus.values():
        found.sort(key=lambda candidate: candidate.order)
        del found[keep:]


def _meets(
    context: Context, layouts: Layouts, rules: Rules, limits: Limits, step_s: Array, fits: Mask, findings: Findings
) -> Mask:
    if limits.deadline_s is None and limits.budget_usd is None:
        return fits
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = measures(context, layouts, rules, step_s)
    meets = fits
    if limits.deadline_s is not None:
        in_time = meets & (found.due_s <= limits.deadline_s)
        findings.count(MISSES_DEADLINE, int(np.count_nonzero(meets & ~in_time)))
        meets = in_time
    if limits.budget_usd is not None and found.due_usd is not None:
        affordable = meets & (found.due_usd <= limits.budget_usd)
        findings.count(MISSES_BUDGET, int(np.count_nonzero(meets & ~affordable)))
        meets = affordable
    return meets


def _candidate(layouts: Layouts, index: int, n_gpus: Array, step_s: Array) -> Candidate:
    return Candidate(int(n_gpus.flat[index]), float(step_s.flat[index]), layouts.at(np.asarray([index])))


def _remember_closest(layouts: Layouts, peak: Array, n_gpus: Array, step_s: Array, findings: Findings) -> None:
    index = int(np.argmin(peak))
    lowest = float(peak.flat[index])
    if np.isfinite(lowest) and (findings.closest is None or lowest < findings.closest[0]):
        findings.closest = (lowest, _candidate(layouts, index, n_gpus, step_s))


def _remember_leanest(layouts: Layouts, peak: Array, findings: Findings) -> None:
    per_tuple = peak.reshape(-1, peak.shape[-1]).min(axis=0)
    counts, inverse = np.unique(layouts["n_gpus"], return_inverse=True)
    smallest = np.full(len(counts), np.inf)
    np.minimum.at(smallest, inverse, per_tuple)
    for count, value in zip(counts, smallest, strict=True):
        if np.isfinite(value):
            findings.leanest[int(count)] = min(findings.leanest.get(int(count), np.inf), float(value))


def _remember_extremes(layouts: Layouts, fits: Mask, n_gpus: Array, step_s: Array, findings: Findings) -> None:
    if not fits.any():
        return
    index = int(np.argmin(np.where(fits, step_s, np.inf)))
    if findings.fastest is None or step_s.flat[index] < findings.fastest.step_time_s:
        findings.fastest = _candidate(layouts, index, n_gpus, step_s)
    gpu_s = np.where(fits, step_s * n_gpus, np.inf)
    index = int(np.argmin(gpu_s))
    cheapest = findings.cheapest
    if cheapest is None or gpu_s.flat[index] < cheapest.step_time_s * cheapest.n_gpus:
        findings.cheapest = _candidate(layouts, index, n_gpus, step_s)


def _best_per_gpus(
    layouts: Layouts, meets: Mask, n_gpus: Array, step_s: Array, energy_j: Array | None, keep: int
) -> Iterable[Candidate]:
    """The `keep` fastest (or of least energy, where it is given) of each number of GPUs; of equal ones the first in the
    order of enumeration, which puts small degrees and simple choices first."""
    allowed: NDArray[np.intp] = np.flatnonzero(meets)
    if not len(allowed):
        return
    energies = None if energy_j is None else np.broadcast_to(energy_j, layouts.shape)
    gpus, least = n_gpus.reshape(-1)[allowed], (step_s if energies is None else energies).reshape(-1)[allowed]
    order = np.lexsort((allowed, least, gpus))
    sorted_gpus = gpus[order]
    starts = np.flatnonzero(np.r_[True, sorted_gpus[1:] != sorted_gpus[:-1]])
    ends = np.r_[starts[1:], len(order)]
    for start, end in zip(starts, ends, strict=True):
        for position in order[start : min(end, start + keep)]:
            index = int(allowed[position])
            candidate = _candidate(layouts, index, n_gpus, step_s)
            yield candidate if energies is None else replace(candidate, step_energy_j=float(energies.flat[index]))


def recommended(findings: Findings, objective: str) -> Candidate | None:
    """The best feasible layout by `objective`; ties go to fewer GPUs."""
    if not findings.by_gpus:
        return None
    if objective == "min-gpus":
        return findings.by_gpus[min(findings.by_gpus)][0]
    best = [candidates[0] for _, candidates in sorted(findings.by_gpus.items())]
    if objective == "time":
        return min(best, key=lambda candidate: candidate.step_time_s)
    if objective == "energy":
        # Layouts without a known power are ordered by the time of their GPUs.
        return min(best, key=lambda each: (each.step_energy_j or 0.0, each.step_time_s * each.n_gpus))
    return min(best, key=lambda candidate: candidate.step_time_s * candidate.n_gpus)
