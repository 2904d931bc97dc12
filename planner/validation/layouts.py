"""Layouts that others ran, against the best that the search finds on the same GPUs with the same model and batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from planner.domain.plan import Plan
from planner.domain.ranked import Ranked
from planner.runs.evaluate import Group, ask_rows
from planner.runs.questions import Asked, Questions
from planner.search.objectives import Findings, Limits, search
from planner.search.plans import plans_of
from planner.search.space import Pin, all_choices, all_degrees, build_space

if TYPE_CHECKING:
    from planner.registry import Registry
    from planner.search.rules import Rules

HEADROOM: Final = 0.05
"""As `planner plan` keeps free unless told otherwise."""
MEANS: Final = ("recompute", "sequence_parallel", "zero", "vpp", "cp")
"""What a framework of the time could do or not: a second search leaves these as they were."""


def rank_layouts(path: str, *, database: str | None = None, strict_plugins: bool = False) -> tuple[Ranked, ...]:
    """Rank the layout of every row of a file of runs. Raises InputError for a file that is none, CatalogError, PluginError."""
    from planner.catalog.reader import Catalog
    from planner.importers.runs import read_runs
    from planner.isolation import answered

    file = read_runs(path)

    def ask(registry: Registry) -> tuple[Ranked, ...]:
        with Catalog.open(database, branches=registry.branch_directories) as catalog:
            questions = Questions(catalog, registry)
            groups, failed = ask_rows(file, registry, questions)
        found = {index: _failed(file.rows[index], cells["error"]) for index, cells in failed.items()}
        for index, asked in _members(groups):
            found[index] = _ranked(file.rows[index], asked, questions.rules)
        return tuple(found[index] for index in sorted(found))

    return answered(ask, strict=strict_plugins)


def _members(groups: tuple[Group, ...]) -> list[tuple[int, Asked]]:
    return [member for group in groups for member in group]


def _failed(cells: Mapping[str, str], error: str) -> Ranked:
    count = cells.get("n_gpus", "")
    return Ranked(
        id=cells.get("id", ""), model=cells.get("model_name", ""), accelerator=cells.get("gpu_slug", ""),
        n_gpus=int(count) if count.isdecimal() else 0, error=error,
    )  # fmt: skip


def _ranked(cells: Mapping[str, str], asked: Asked, rules: Rules) -> Ranked:
    context, mesh = asked.context, asked.layouts
    published = plans_of(context, mesh, rules, HEADROOM)[0]
    labels = mesh.labels()
    free = _look(asked, rules, {}, published)
    alike = _look(asked, rules, {axis: labels[axis] for axis in MEANS if axis in labels}, published)
    return Ranked(
        id=cells.get("id", ""),
        model=context.architecture.slug,
        accelerator=context.cluster.accelerator.slug,
        n_gpus=published.n_gpus,
        published=published,
        best=_best(asked, rules, free),
        alike=_best(asked, rules, alike),
        layouts=free.layouts,
        fitting=free.feasible,
        better=_share(free),
        better_alike=_share(alike),
    )


def _look(asked: Asked, rules: Rules, pins: Mapping[str, Pin], published: Plan) -> Findings:
    """All layouts on as many GPUs; those that are faster than the published one are counted."""
    choices = all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes), tuple(rules.offloads))
    count = published.n_gpus
    space = build_space(asked.context, all_degrees(rules.strategies), choices, pins, count, count)
    # Steps of layouts that differ in nothing that takes time are equal but for the last bits.
    limit = np.nextafter(published.step_time_s, 0.0)
    return search(asked.context, space, rules, Limits(headroom=HEADROOM), keep=1, faster_than_s=float(limit))


def _share(findings: Findings) -> float | None:
    return findings.faster / findings.feasible if findings.feasible else None


def _best(asked: Asked, rules: Rules, findings: Findings) -> Plan | None:
    for candidates in findings.by_gpus.values():
        return plans_of(asked.context, candidates[0].layouts, rules, HEADROOM)[0]
    return None
