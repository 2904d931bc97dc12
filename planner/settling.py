"""A question settled: the whole space, the finer values that are tried after it, and last the host's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planner.choosing import rank
from planner.domain.mesh import ChoiceValue
from planner.domain.plan import Plan, Region
from planner.plugin import Offload
from planner.question import Question
from planner.search.candidates import Candidate, first_of
from planner.search.objectives import Findings, Limits, ignore
from planner.search.refusing import offloads
from planner.search.space import NOTHING_OFFLOADED
from planner.searching import Progress, banned, best_by, one_of, plans_for, searched

if TYPE_CHECKING:
    from planner.api import Search


@dataclass(frozen=True, slots=True)
class Settled:
    """What a search came to.

    `findings` are those of the whole space, and of finer values what comes closest; `finer_layouts` is how many were tried with
    them, and `elapsed_s` what all of it took. `scaling` is the best plan for every number of GPUs, fewest first; `best` the layout
    that is recommended, and `plans` the best ones on as many GPUs, itself first (None and nothing: no layout meets what was asked).
    `regions` are those of the refused layouts, if they were to be told; `offload` is what had to move to the host so that any
    layout fits.
    """

    findings: Findings
    scaling: tuple[Plan, ...]
    best: Candidate | None
    plans: tuple[Plan, ...]
    regions: tuple[Region, ...] = ()
    offload: str = NOTHING_OFFLOADED
    finer_layouts: int = 0
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: up to `most` GPUs, within the limits."""

    question: Question
    wanted: Search
    limits: Limits
    most: int


def settled(
    question: Question,
    wanted: Search,
    limits: Limits,
    most: int,
    progress: Progress = ignore,
    *,
    tell_regions: bool = False,
) -> Settled:
    """Look at every layout of up to `most` GPUs, then try the framework's finer values, step by step. Raises InputError and
    UnknownNameError for what no axis or plugin has."""
    steps = question.context.framework.finer
    whole = one_of(1 + len(steps), 0, progress)
    findings = searched(question, wanted, limits, most, whole, tell_regions=tell_regions)
    scaling, best = best_by(question, findings, wanted.objective, limits.headroom)
    same = [] if best is None else findings.by_gpus[best.n_gpus][: wanted.top + 1]
    regions = () if findings.regions is None else findings.regions.found(findings.rejected)
    plans = plans_for(question, same, limits.headroom)
    found = Settled(findings, scaling, best, plans, regions, elapsed_s=findings.elapsed_s)
    asked = Asked(question, wanted, limits, most)
    for number, axes in enumerate(steps, start=1):
        found = _with_finer(asked, found, axes, one_of(1 + len(steps), number, progress))
    return found


def settled_anyhow(
    question: Question, wanted: Search, limits: Limits, most: int, progress: Progress = ignore
) -> Settled:
    """The same with regions; where nothing fits, with the least that the framework can keep in the host's memory so that
    something does."""
    found = settled(question, wanted, limits, most, progress, tell_regions=True)
    nothing_fits = found.findings.closest is not None and found.findings.fastest is None
    if not nothing_fits or "offload" in wanted.pins:
        return found
    for name in _offered_offloads(question):
        asked = replace(wanted, pins={**wanted.pins, "offload": name})
        hosted = settled(question, asked, limits, most, tell_regions=True)
        if hosted.findings.fastest is not None:
            regions = (*_with_offload(hosted.regions, name), *_with_offload(found.regions, NOTHING_OFFLOADED))
            hosted.findings.take(found.findings)
            return _spent(replace(hosted, regions=regions, offload=name), found.finer_layouts, found.elapsed_s)
        found = _spent(found, hosted.finer_layouts, hosted.elapsed_s)
    return found


def _spent(found: Settled, finer_layouts: int, elapsed_s: float) -> Settled:
    """With what was tried besides."""
    return replace(found, finer_layouts=found.finer_layouts + finer_layouts, elapsed_s=found.elapsed_s + elapsed_s)


def _with_offload(regions: Sequence[Region], name: str) -> Iterator[Region]:
    for region in regions:
        yield replace(region, where={**region.where, "offload": (name,)})


def _offered_offloads(question: Question) -> list[str]:
    """What the framework can keep on the host, the least first."""

    def amount(offload: Offload) -> tuple[int, bool]:
        return len(offload.states), offload.activations

    able = {
        name: amount(offload)
        for name, offload in question.rules.offloads.items()
        if (offload.states or offload.activations) and offloads(question.context.framework, offload)
    }
    return sorted(able, key=lambda name: able[name])


def _with_finer(
    asked: Asked, found: Settled, axes: Mapping[str, tuple[ChoiceValue, ...]], progress: Progress
) -> Settled:
    """What is found with more values of `axes`, where they can matter."""
    finer = _finer_search(asked, found, axes)
    if finer is None:
        progress(1.0)
        return found
    wanted, most = finer
    findings = searched(asked.question, wanted, asked.limits, most, progress)
    found = _spent(found, findings.layouts, findings.elapsed_s)
    _take_closest(found.findings, findings)
    scaling, best = _best_by(asked.question, findings, wanted.objective, asked.limits.headroom)
    found = replace(found, scaling=_with(found.scaling, scaling))
    if best is None or (found.best is not None and _no_better(best, found.best)):
        return found
    every = plans_for(asked.question, findings.by_gpus[best.n_gpus][: wanted.top + 1], asked.limits.headroom)
    plans = tuple(plan for plan in every if not any(_alike(plan, other, axes) for other in found.plans))
    return _settled_with(found, best, plans, wanted) if plans else found


def _finer_search(
    asked: Asked, found: Settled, axes: Mapping[str, tuple[ChoiceValue, ...]]
) -> tuple[Search, int] | None:
    """What to search, and up to how many GPUs, with more values of `axes`; other finer axes stay as the best layout has them. None:
    what was asked pins all of `axes`."""
    question, wanted = asked.question, asked.wanted
    given = {*wanted.pins, *banned(wanted.without, wanted.pins, question.rules.strategies)}
    opened = {axis: values for axis, values in axes.items() if axis not in given}
    if not opened:
        return None
    labels = {} if found.best is None else found.best.layouts.labels()
    every = {axis for step in question.context.framework.finer for axis in step}
    others = {axis: labels[axis] for axis in sorted(every - axes.keys() - given) if axis in labels}
    fewest, highest = _where_finer(wanted, found, asked.most)
    return replace(wanted, pins={**wanted.pins, **others, **opened}, min_gpus=fewest), highest


def _take_closest(found: Findings, finer: Findings) -> None:
    """Finer values may need less memory, time or money than the whole space did: they fit, or miss what was asked by less."""
    for count, peak_bytes in finer.leanest.items():
        found.leanest[count] = min(peak_bytes, found.leanest.get(count, peak_bytes))
    found.closest = first_of(found.closest, finer.closest)
    found.fastest = first_of(found.fastest, finer.fastest)
    found.cheapest = first_of(found.cheapest, finer.cheapest)
    found.cheapest_in_time = first_of(found.cheapest_in_time, finer.cheapest_in_time)


def _settled_with(found: Settled, best: Candidate, plans: tuple[Plan, ...], wanted: Search) -> Settled:
    """With the `plans` of finer values on as many GPUs as the `best` of them has: alone where they win on another number of GPUs,
    among those found before on the same number."""
    first, ours = found.plans[0] if found.plans else None, plans[0]
    wins = first is None or rank(ours, wanted.objective) < rank(first, wanted.objective)
    if first is None or ours.n_gpus != first.n_gpus:
        if not wins:
            return found
        return replace(found, best=best, plans=plans, scaling=_with(found.scaling, (ours,)))
    merged = _merged(found.plans, plans, wanted.objective)[: wanted.top + 1]
    return replace(found, best=best if wins else found.best, plans=merged, scaling=_with(found.scaling, merged[:1]))


def _best_by(
    question: Question, findings: Findings, objective: str, headroom: float
) -> tuple[tuple[Plan, ...], Candidate | None]:
    """`best_by`, which has nothing to compare where there is but one number of GPUs."""
    if len(findings.by_gpus) != 1:
        return best_by(question, findings, objective, headroom)
    (candidates,) = findings.by_gpus.values()
    return (), candidates[0]


def _no_better(one: Candidate, other: Candidate) -> bool:
    """Of two on as many GPUs, whose scores are comparable."""
    return one.n_gpus == other.n_gpus and one.score >= other.score


def _alike(plan: Plan, other: Plan, axes: Iterable[str]) -> bool:
    """Whether values of `axes` make no difference: a shard group of all replicas, say."""
    if (plan.step_time_s, plan.memory.total_bytes) != (other.step_time_s, other.memory.total_bytes):
        return False
    return all(other.layout.get(axis) == value for axis, value in plan.layout.items() if axis not in axes)


def _where_finer(wanted: Search, found: Settled, most: int) -> tuple[int, int]:
    """From how many GPUs on and up to how many finer values are tried: on all numbers, as any may become the best or the fewest
    with them; where the fewest are wanted on no more than do without."""
    if found.best is not None and wanted.objective == "min-gpus":
        return wanted.min_gpus, found.best.n_gpus
    return wanted.min_gpus, most


def _with(scaling: Sequence[Plan], better: Sequence[Plan]) -> tuple[Plan, ...]:
    """The faster plan for every number of GPUs, fewest first."""
    best = {plan.n_gpus: plan for plan in scaling}
    for plan in better:
        if plan.n_gpus not in best or plan.step_time_s < best[plan.n_gpus].step_time_s:
            best[plan.n_gpus] = plan
    return tuple(best[count] for count in sorted(best))


def _merged(one: Sequence[Plan], other: Sequence[Plan], objective: str) -> tuple[Plan, ...]:
    """Both in order, each layout once; of equals the first."""
    different = {tuple(plan.layout.items()): plan for plan in (*other, *one)}
    known = [tuple(plan.layout.items()) for plan in (*one, *other)]
    order = sorted(different, key=lambda layout: (rank(different[layout], objective), known.index(layout)))
    return tuple(different[layout] for layout in order)
