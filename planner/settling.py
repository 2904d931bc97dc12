"""A question settled: the whole space, what is tried besides on the number of GPUs that it prefers, and last the host's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planner.choosing import rank
from planner.domain.mesh import ChoiceValue
from planner.domain.plan import Plan, Region
from planner.plugin import Offload
from planner.question import Question
from planner.search.candidates import Candidate
from planner.search.objectives import Findings, Limits, ignore
from planner.search.refusing import offloads
from planner.search.space import NOTHING_OFFLOADED
from planner.searching import Progress, banned, best_by, plans_for, searched

if TYPE_CHECKING:
    from planner.api import Search


@dataclass(frozen=True, slots=True)
class Settled:
    """What a search came to.

    `findings` are those of the whole space, without finer values. `scaling` is the best plan for every number of GPUs, fewest
    first; `best` the layout that is recommended, and `plans` the best ones on as many GPUs, itself first (None and nothing: no
    layout meets what was asked). `regions` are those of the refused layouts, if they were to be told; `offload` is what had to
    move to the host so that any layout fits.
    """

    findings: Findings
    scaling: tuple[Plan, ...]
    best: Candidate | None
    plans: tuple[Plan, ...]
    regions: tuple[Region, ...] = ()
    offload: str = NOTHING_OFFLOADED


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
    findings = searched(question, wanted, limits, most, progress, tell_regions=tell_regions)
    scaling, best = best_by(question, findings, wanted.objective, limits.headroom)
    same = [] if best is None else findings.by_gpus[best.n_gpus][: wanted.top + 1]
    regions = () if findings.regions is None else findings.regions.found(findings.rejected)
    found = Settled(findings, scaling, best, plans_for(question, same, limits.headroom), regions)
    for axes in question.context.framework.finer if findings.fastest is not None else ():
        found = _finer(question, wanted, limits, found, axes, most)
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
            return replace(hosted, regions=regions, offload=name)
    return found


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


def _finer(
    question: Question,
    wanted: Search,
    limits: Limits,
    found: Settled,
    axes: Mapping[str, tuple[ChoiceValue, ...]],
    most: int,
) -> Settled:
    """Search again with more values of `axes`, where they can matter; other finer axes stay as the best layout has them."""
    given = {*wanted.pins, *banned(wanted.without, wanted.pins, question.rules.strategies)}
    opened = {axis: values for axis, values in axes.items() if axis not in given}
    if not opened:
        return found
    labels = {} if found.best is None else found.best.layouts.labels()
    others = {
        axis: labels[axis]
        for step in question.context.framework.finer
        for axis in step
        if axis in labels and axis not in axes and axis not in given
    }
    fewest, highest = _where_finer(wanted, limits, found, most)
    asked = replace(wanted, pins={**wanted.pins, **others, **opened}, min_gpus=fewest)
    findings = searched(question, asked, limits, highest)
    for count, peak_bytes in findings.leanest.items():
        found.findings.leanest[count] = min(peak_bytes, found.findings.leanest.get(count, peak_bytes))
    scaling, best = _best_by(question, findings, wanted.objective, limits.headroom)
    if best is None or (found.best is not None and _no_better(best, found.best)):
        return found
    every = plans_for(question, findings.by_gpus[best.n_gpus][: wanted.top + 1], limits.headroom)
    plans = tuple(plan for plan in every if not any(_alike(plan, other, axes) for other in found.plans))
    if not plans:
        return found
    first = found.plans[0] if found.plans else None
    if first is None or (
        plans[0].n_gpus != first.n_gpus and rank(plans[0], wanted.objective) < rank(first, wanted.objective)
    ):
        return replace(found, best=best, plans=plans, scaling=_with(found.scaling, scaling))
    if plans[0].n_gpus != first.n_gpus:
        return found
    if rank(first, wanted.objective) <= rank(plans[0], wanted.objective):
        best = found.best
    merged = _merged(found.plans, plans, wanted.objective)[: wanted.top + 1]
    return replace(found, best=best, plans=merged, scaling=_with(found.scaling, merged[:1]))


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


def _where_finer(wanted: Search, limits: Limits, found: Settled, most: int) -> tuple[int, int]:
    """From how many GPUs on and up to how many finer values are tried: on as many as are preferred so far. Where the fewest are
    wanted fewer may do with them, and with a deadline or a budget they may decide which numbers of GPUs meet it."""
    if found.best is not None and wanted.objective == "min-gpus":
        return wanted.min_gpus, found.best.n_gpus
    if found.best is not None and limits.deadline_s is None and limits.budget_usd is None:
        return found.best.n_gpus, found.best.n_gpus
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
