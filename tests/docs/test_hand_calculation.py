"""docs/hand-calculation.md against the planner: states to the byte, the rest within 1 %."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from planner import Recipe, evaluate

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "hand-calculation.md").read_text(encoding="utf-8")
BY_HAND = {name: float(value) for name, value in re.findall(r"^\| (\w+) \| [^|]+ \| (\d+) \|$", DOCUMENT, re.MULTILINE)}


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory):
    database = f"sqlite:///{tmp_path_factory.mktemp('hand') / 'catalog.db'}"
    layout = {"tp": 2, "dp": 4, "zero": 1, "sequence_parallel": 1, "micro_batch": 1}
    return evaluate(Recipe(model="llama-3-8b", cluster="a100-pool"), layout, database=database)


@pytest.mark.parametrize("component", ["weights", "gradients", "optimizer"])
def test_states_agree_to_the_byte(answer, component: str) -> None:
    assert answer.plan.memory.components[component] == BY_HAND[component]


@pytest.mark.parametrize("component", ["activations", "other"])
def test_the_rest_agrees_within_one_per_cent(answer, component: str) -> None:
    assert answer.plan.memory.components[component] == pytest.approx(BY_HAND[component], rel=0.01)


def test_flops_agree_within_one_per_cent(answer) -> None:
    flops = answer.plan.model_tflops_per_gpu * 1e12 * answer.plan.n_gpus * answer.plan.step_time_s
    (by_hand,) = re.findall(r"tokens: ([\d.e]+) per step", DOCUMENT)
    assert flops == pytest.approx(float(by_hand), rel=0.01)


def test_every_component_is_worked_out() -> None:
    assert set(BY_HAND) == {"weights", "gradients", "optimizer", "activations", "other"}
