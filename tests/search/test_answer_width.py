"""Real answers keep within a terminal, however many axes they show."""

from __future__ import annotations

import pytest

from planner.api import Recipe, Search, plan_among
from planner.reports.ink import Ink
from planner.reports.plan import report
from planner.reports.text_format import render

QUESTIONS = {
    "pipelines on many GPUs": (
        [Recipe(model="gpt3-175b", cluster="h100-sxm5-80gb:512x8", global_batch=512)], Search(objective="time")
    ),
    "long and dear": (
        [Recipe(model="llama3-7b", cluster="a100-pool", global_batch=32, tokens=1e13)], Search(objective="time")
    ),
    "experts, and why not": (
        [Recipe(model="mixtral-8x7b", cluster="h100-pool")], Search(objective="energy", why_not={"ep": 8, "tp": 2})
    ),
    "clusters and frameworks": (
        [Recipe(model="llama3-7b", cluster="any", framework=name) for name in ("megatron-core", "torchtitan", "deepspeed")],
        Search(objective="cost", max_gpus=64),
    ),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_keeps_within_100_columns(question):
    recipes, search = QUESTIONS[question]
    text = render(report(plan_among(recipes, search)), ink=Ink(enabled=False))
    assert max(map(len, text.splitlines())) <= 100
