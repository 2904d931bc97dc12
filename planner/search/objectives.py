"""Looks at the whole space and keeps what answers: per number of GPUs the best layouts, the counts, the nearest miss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from planner.domain.mesh import Array, Layouts, Mask
from planner.plugin import Context
from planner.search.boxes import boxes
from planner.search.candidates import Best, Candidate, Part, first_of, least_per_tuple
from planner.search.evaluation import held_bytes, host_capacity_bytes, optimizer_s, step_of
from planner.search.factoring import Factoring
from planner.search.measures import measures, step_energy_j
from planner.search.memory_terms import MemoryTerms
from planner.search.processes import can_fork, shared_out
from planner.search.refusing import judged
from planner.search.regions import Regions, axis_values
from planner.search.rules import Rules
from planner.search.space import Space
from planner.search.timing import StepTimes

DOES_NOT_FIT: Final = "does not fit in memory"
FILLS_THE_HOST: Final = "does not fit in the host's memory"
MISSES_DEADLINE: Final = "misses the deadline"
MISSES_BUDGET: Final = "exceeds the budget"
PIECE_LAYOUTS: Final = 1 << 17
"""Layouts that are evaluated at once (docs/performance.md)."""

ONCE: Final = np.ones(1)

WORTH_LEAVING_OUT: Final = 0.9
"""Time is computed for the tuples of which some layout fits, if they are less than this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a layout must meet: fraction of memory kept free, seconds and US dollars of the whole run as it can be expected,
    with failures and checkpoints."""

    headroom: float
    deadline_s: float | None = None
    budget_usd: float | None = None


def ignore(_fraction: float) -> None:
    """Progress that nobody watches."""


@dataclass(slots=True)
class Findings:
    """What a search has seen so far.

    `closest` is the allowed layout that needs least memory. `fastest` is the one that fits and takes least time, `cheapest` the
    one that takes least GPU time, whether or not they meet deadline and budget; `cheapest_in_time` meets a deadline, where there
    is a budget as well. `leanest` is the smallest peak [bytes] of the allowed layouts for each number of GPUs. `regions` tells
    where layouts are refused, if that was asked.
    """

    best: Best
    rejected: dict[str, int] = field(default_factory=dict)
    layouts: int = 0
    allowed: int = 0
    feasible: int = 0
    faster: int = 0
    elapsed_s: float = 0.0
    leanest: dict[int, float] = field(default_factory=dict)
    closest: Candidate | None = None
    fastest: Candidate | None = None
    cheapest: Candidate | None = None
    cheapest_in_time: Candidate | None = None
    regions: Regions | None = None

    @property
    def by_gpus(self) -> dict[int, list[Candidate]]:
        """For every number of GPUs that some feasible layout has, the best ones."""
        return self.best.by_gpus

    def take(self, others: Findings) -> None:
        """Add what was seen in another part of the space."""
        for reason, number in others.rejected.items():
            self.count(reason, number)
        self.layouts += others.layouts
        self.allowed += others.allowed
        self.feasible += others.feasible
        self.faster += others.faster
        for count, size in others.leanest.items():
            self.leanest[count] = min(self.leanest.get(count, np.inf), size)
        self.closest = first_of(self.closest, others.closest)
        self.fastest = first_of(self.fastest, others.fastest)
        self.cheapest = first_of(self.cheapest, others.cheapest)
        self.cheapest_in_time = first_of(self.cheapest_in_time, others.cheapest_in_time)
        self.best.merge(others.best)
        if self.regions is not None and others.regions is not None:
            self.regions.take(others.regions)

    def count(self, reason: str, number: int) -> None:
        """Book `number` layouts under `reason`."""
        if number:
            self.rejected[reason] = self.rejected.get(reason, 0) + number


@dataclass(frozen=True, slots=True)
class Searched:
    """What stays the same while the chunks of a space are looked at."""

    context: Context
    rules: Rules
    limits: Limits
    objective: str
    faster_than_s: float
    known: dict[str, frozenset[str]]


def search(
    context: Context,
    space: Space,
    rules: Rules,
    limits: Limits,
    keep: int,
    objective: str = "min-gpus",
    jobs: int = 1,
    progress: Callable[[float], None] = ignore,
    faster_than_s: float = 0.0,
    tell_regions: bool = False,
) -> Findings:
    """Evaluate every layout of `space`; keep the `keep` best feasible ones for each number of GPUs: the fastest, or by the
    objective ``energy`` those that take least of it.

    `jobs` processes share the chunks out, each with memory of its own (threads where a system does not fork); the answer does not
    depend on their number. `progress` is told the fraction that has been looked at. Feasible layouts whose step takes less than
    `faster_than_s` are counted. `tell_regions`: where layouts are refused is counted as well.
    """
    started = time.perf_counter()
    searched = Searched(context, rules, limits, objective, faster_than_s, {})
    values = axis_values(space) if tell_regions else None

    def nothing() -> Findings:
        return Findings(Best(keep), regions=None if values is None else Regions(values))

    def look_at_every(number: int, tell: Callable[[float], None]) -> Findings:
        own = nothing()
        for position, chunk in enumerate(space.numbered_chunks(jobs)):
            if position % jobs == number:
                _look_at(searched, chunk.layouts, chunk.first, own)
                tell(chunk.done)
        tell(1.0)
        return own

    if jobs == 1:
        findings = look_at_every(0, progress)
    elif can_fork():
        findings = _taken_together(nothing(), shared_out(look_at_every, jobs, progress))
    else:
        with ThreadPoolExecutor(jobs) as pool:
            parts = list(pool.map(lambda number: look_at_every(number, ignore), range(jobs)))
        findings = _taken_together(nothing(), parts)
    findings.elapsed_s = time.perf_counter() - started
    return findings


def _taken_together(findings: Findings, parts: Sequence[Findings]) -> Findings:
    for part in parts:
        findings.take(part)
    return findings


def _look_at(searched: Searched, layouts: Layouts, first: int, findings: Findings) -> None:
    """Counts what is refused, and evaluates the rest box by box, piece by piece."""
    found = judged(searched.context, layouts, searched.rules)
    for reason, number in found.counts.items():
        findings.count(reason, number)
    if findings.regions is not None:
        findings.regions.look_at(layouts, found.refused)
    findings.layouts += int(np.prod(layouts.shape))
    if not len(found.tuples):
        return
    factoring = Factoring(found.layouts, searched.known)
    allowed = np.broadcast_to(found.allowed, (*found.allowed.shape[:-1], len(found.tuples)))
    for box in boxes(found.layouts, allowed):
        for start, stop in _pieces(box.layouts.shape):
            own = slice(start, stop)
            piece = factoring.part(box.layouts.some(own), box.tuples[own], box.kept)
            part = Part(piece.layouts, found.tuples[box.tuples[own]] + first, layouts.values)
            _evaluate(searched, piece, part, box.allowed[..., own], findings)


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Where the pieces of a mesh, of about `PIECE_LAYOUTS` layouts each, start and stop along its tuples."""
    tuples = max(1, PIECE_LAYOUTS * shape[-1] // int(np.prod(shape)))
    for start in range(0, shape[-1], tuples):
        yield start, min(shape[-1], start + tuples)


def _evaluate(searched: Searched, piece: Factoring, part: Part, allowed: Mask, findings: Findings) -> None:
    """The memory of every layout of a piece, then the time of the tuples of which some layout fits."""
    context, rules, limits = searched.context, searched.rules, searched.limits
    terms = MemoryTerms(context, piece, rules)
    held = held_bytes(terms)
    peak, allowed = np.broadcast_to(held.peak_bytes, part.layouts.shape), np.broadcast_to(allowed, part.layouts.shape)
    number = int(np.count_nonzero(allowed))
    findings.allowed += number
    capacity = context.cluster.accelerator.memory_bytes
    fits = allowed & (peak + limits.headroom * capacity <= capacity)
    _refuse(DOES_NOT_FIT, allowed & ~fits, part, findings)
    if terms.moved is not None:
        kept = fits & (held.host_bytes <= host_capacity_bytes(context, part.layouts))
        _refuse(FILLS_THE_HOST, fits & ~kept, part, findings)
        fits = kept
    fitting = int(np.count_nonzero(fits))
    _remember_leanest(part, np.where(allowed, peak, np.inf), findings)
    if not fitting:
        return
    timed = np.flatnonzero(fits.reshape(-1, fits.shape[-1]).any(axis=0))
    if len(timed) < WORTH_LEAVING_OUT * fits.shape[-1]:
        part, fits = part.some(timed), fits.take(timed, axis=-1)
        terms = terms.over(piece.part(part.layouts, timed))
    step = step_of(terms, optimizer_s(terms))
    _remember_fitting(searched, part, step, fits, fitting, findings)


def _remember_fitting(
    searched: Searched, part: Part, step: StepTimes, fits: Mask, fitting: int, findings: Findings
) -> None:
    context, rules, limits, layouts = searched.context, searched.rules, searched.limits, part.layouts
    step_s = np.broadcast_to(step.total_s, layouts.shape)
    meets = _meets(context, part, rules, limits, step_s, fits, findings)
    if findings.regions is not None:
        findings.regions.keep(layouts, meets)
    findings.feasible += fitting if meets is fits else int(np.count_nonzero(meets))
    fitting_s = np.where(fits, step_s, np.inf)
    _remember_extremes(part, fitting_s, findings)
    if searched.faster_than_s:
        findings.faster += int(np.count_nonzero(meets & (step_s < searched.faster_than_s)))
    score = fitting_s
    if searched.objective == "energy":
        energy_j = step_energy_j(context, layouts["n_gpus"], step)
        # Without a known power layouts are ordered by the time of their GPUs.
        score = step_s * layouts["n_gpus"] if energy_j is None else np.broadcast_to(energy_j, layouts.shape)
    findings.best.add(part, score if meets is fits and score is fitting_s else np.where(meets, score, np.inf))


def _meets(
    context: Context, part: Part, rules: Rules, limits: Limits, step_s: Array, fits: Mask, findings: Findings
) -> Mask:
    layouts = part.layouts
    if limits.deadline_s is None and limits.budget_usd is None:
        return fits
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = measures(context, layouts, rules, step_s)
    meets = fits
    if limits.deadline_s is not None:
        in_time = meets & (found.due_s <= limits.deadline_s)
        _refuse(MISSES_DEADLINE, meets & ~in_time, part, findings)
        meets = in_time
    if limits.budget_usd is not None and found.due_usd is not None:
        if limits.deadline_s is not None and meets.any():
            in_time_s = np.where(meets, step_s, np.inf)
            per_tuple, so_far = least_per_tuple(in_time_s), findings.cheapest_in_time
            findings.cheapest_in_time = _smaller(part, in_time_s, per_tuple, so_far, layouts["n_gpus"])
        affordable = meets & (found.due_usd <= limits.budget_usd)
        _refuse(MISSES_BUDGET, meets & ~affordable, part, findings)
        meets = affordable
    return meets


def _refuse(reason: str, where: Mask, part: Part, findings: Findings) -> None:
    """Book evaluated layouts under a reason."""
    number = int(np.count_nonzero(where))
    findings.count(reason, number)
    if number and findings.regions is not None:
        findings.regions.refuse(part.layouts, reason, where)


def _remember_leanest(part: Part, peak: Array, findings: Findings) -> None:
    """Per number of GPUs the smallest peak, and the layout with the smallest of all."""
    per_tuple = least_per_tuple(peak)
    n_gpus = part.layouts["n_gpus"].astype(np.intp)
    smallest = np.full(int(n_gpus.max()) + 1, np.inf)
    np.minimum.at(smallest, n_gpus, per_tuple)
    for count in np.flatnonzero(smallest < np.inf):
        findings.leanest[int(count)] = min(findings.leanest.get(int(count), np.inf), float(smallest[count]))
    findings.closest = _smaller(part, peak, per_tuple, findings.closest)


def _remember_extremes(part: Part, fitting_s: Array, findings: Findings) -> None:
    per_tuple = least_per_tuple(fitting_s)
    findings.fastest = _smaller(part, fitting_s, per_tuple, findings.fastest)
    findings.cheapest = _smaller(part, fitting_s, per_tuple, findings.cheapest, part.layouts["n_gpus"])


def _smaller(
    part: Part, values: Array, per_tuple: Array, so_far: Candidate | None, weight: Array = ONCE
) -> Candidate | None:
    """The layout with the smallest value, if it comes before the one that was found so far. `weight` multiplies the values of a
    tuple, `per_tuple` are the smallest without it."""
    weighed = per_tuple * weight
    lowest = weighed.min()
    if not np.isfinite(lowest) or (so_far is not None and lowest > so_far.score):
        return so_far
    tuples = np.flatnonzero(weighed == lowest)
    few = values[..., tuples] * np.broadcast_to(weight, per_tuple.shape)[tuples]
    return first_of(so_far, part.some(tuples).candidates(np.flatnonzero(few == lowest), few).first())
