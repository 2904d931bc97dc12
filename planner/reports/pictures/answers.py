"""Which panels an answer has, and the words above them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.domain.plan import EvaluateAnswer, Plan, PlanAnswer
from planner.reports.figures import gpus
from planner.reports.layout import layout_text
from planner.reports.memory import memory_text
from planner.reports.pictures.memory import memory_panel
from planner.reports.pictures.page import Page, Panel, write_page
from planner.reports.pictures.scaling import scaling_panel
from planner.reports.pictures.step import step_panel
from planner.reports.step import speed_text


def draw_evaluation(answer: EvaluateAnswer, path: Path) -> None:
    """One configuration's memory and step, whether or not it can run. Raises InputError if it cannot be written."""
    write_page(_page(answer.question, answer.plan, answer.refusals, ()), path)


def draw_plan(answer: PlanAnswer, path: Path) -> bool:
    """The recommended plan's memory and step, and what more GPUs buy; False where nothing is recommended.

    Raises InputError if it cannot be written.
    """
    plan = answer.recommended
    if plan is None:
        return False
    more = (scaling_panel(answer.scaling, plan, answer.knee),) if len(answer.scaling) > 1 else ()
    write_page(_page(answer.question, plan, (), more), path)
    return True


def _page(question: Mapping[str, Any], plan: Plan, refusals: tuple[str, ...], more: tuple[Panel, ...]) -> Page:
    model, cluster = question.get("model", "the model"), question.get("cluster", "the cluster")
    return Page(
        title=f"{model} on {gpus(plan.n_gpus)} of {cluster}",
        alarm=_alarm(plan, refusals),
        lines=(layout_text(plan.layout), memory_text(plan.memory), speed_text(plan)),
        panels=(memory_panel(plan), step_panel(plan), *more),
    )


def _alarm(plan: Plan, refusals: tuple[str, ...]) -> str:
    if refusals:
        return f"cannot run: {'; '.join(refusals)}"
    return plan.memory.shortfall
