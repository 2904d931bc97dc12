"""`--plot` of plan, evaluate and explain: what a picture shows, that it is the same every time, and when there is none."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from cli.answers import make_answer, make_evaluation, make_plan, make_refusal

from planner import api
from planner.domain.plan import MEMORY_COMPONENTS, StageMemory
from planner.reports.memory import LABELS
from planner.reports.pictures.page import apart
from planner.units import GIB

JOB = ("--model", "llama3-7b", "--cluster", "a100-pool")
WIDE = api.Recipe(model="gpt3-175b", cluster="a100-pool")
FILES = {".svg": b"<?xml", ".png": b"\x89PNG\r", ".pdf": b"%PDF-"}
drawing = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra [plot]")


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    """The URL of a catalog of this session's own."""
    return f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}"


@pytest.fixture(scope="session")
def evaluated(catalog):
    """The plan of one layout of GPT-3, by its degrees."""

    def evaluate(framework="megatron-core", **layout):
        return api.evaluate(replace(WIDE, framework=framework), layout, database=catalog).plan

    return evaluate


def stages(count, fullest=60.0):
    """A pipeline whose stages hold less and less."""
    parts = dict.fromkeys(MEMORY_COMPONENTS, fullest / 6 * GIB)
    return tuple(
        StageMemory(
            stage=index,
            instants={
                "forward": parts | {"activations": fullest / 3 * GIB * (count - index) / count},
                "optimizer": parts | {"activations": 0.0},
            },
        )
        for index in range(count)
    )


def texts(path):
    """What is written in an SVG, which matplotlib keeps beside the outlines of the letters."""
    comments = []
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    for element in ET.parse(path, parser).iter():
        if element.tag is ET.Comment:
            comments.append((element.text or "").strip())
    return comments


def root(path):
    return ET.parse(path).getroot().tag


@drawing
@pytest.mark.parametrize("command", ["plan", "evaluate", "explain"])
@pytest.mark.parametrize("suffix", FILES)
def test_a_picture_is_written_beside_the_answer(planner, asked, tmp_path, command, suffix):
    picture = tmp_path / f"memory{suffix}"
    without, beside = planner(command, *JOB), planner(command, *JOB, "--plot", str(picture))
    assert (beside.status, beside.out, beside.err) == (0, without.out, "")
    assert picture.read_bytes()[:5] == FILES[suffix]


@drawing
@pytest.mark.parametrize("suffix", FILES)
def test_the_same_answer_gives_the_same_bytes(planner, asked, tmp_path, suffix):
    pictures = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for picture in pictures:
        planner("plan", *JOB, "--plot", str(picture))
    one, two = (picture.read_bytes() for picture in pictures)
    assert one == two


@drawing
def test_the_picture_says_what_was_asked_and_names_components_limits_and_times(planner, asked, tmp_path):
    picture = tmp_path / "memory.svg"
    planner("evaluate", *JOB, "--plot", str(picture))
    written = texts(picture)
    assert root(picture) == "{http://www.w3.org/2000/svg}svg"
    assert "llama-3-8b on 8 GPUs of a100-pool" in written
    assert {LABELS[name] for name in MEMORY_COMPONENTS} <= set(written)
    assert {"GiB", "device limit 79.2 GiB", "limit less headroom 75.3 GiB"} <= set(written)
    # A label of two lines is two comments, or one with both.
    said = "\n".join(written)
    for label in ("forward compute", "backward compute", "22.0 s · 61.1 %", "optimizer step", "250.0 ms · 0.7 %"):
        assert label in said


@drawing
@pytest.mark.parametrize("count", [2, 8, 20, 21, 64, 640])
def test_every_stage_of_a_pipeline_is_drawn_and_its_fullest_labelled(planner, asked, monkeypatch, tmp_path, count):
    picture = tmp_path / "memory.svg"
    answer = make_evaluation(plan=replace(make_plan(8), stages=stages(count)))
    monkeypatch.setattr("planner.api.evaluate", lambda *_, **__: answer)
    planner("evaluate", *JOB, "--plot", str(picture))
    written = texts(picture)
    assert "pipeline stage" in written
    assert "60.0" in written
    assert len([text for text in written if text.isdecimal()]) < 60


@drawing
def test_one_stage_is_drawn_over_the_instants_of_the_step(planner, asked, monkeypatch, tmp_path):
    picture = tmp_path / "memory.svg"
    answer = make_evaluation(plan=replace(make_plan(1), stages=stages(1)))
    monkeypatch.setattr("planner.api.evaluate", lambda *_, **__: answer)
    planner("explain", *JOB, "--plot", str(picture))
    assert {"forward", "optimizer", "instant of the step"} <= set(texts(picture))


@drawing
def test_a_plan_has_its_scaling_too(planner, asked, tmp_path):
    picture = tmp_path / "plan.svg"
    planner("plan", *JOB, "--plot", str(picture))
    written = texts(picture)
    assert {"tokens/s", "MFU", "GPUs", "◆ recommended: 3 GPUs"} <= set(written)
    assert "- - ideal: 3,863 tokens/s per GPU throughout" in written


@drawing
def test_a_single_number_of_gpus_is_no_curve(planner, asked, monkeypatch, tmp_path):
    picture = tmp_path / "plan.svg"
    monkeypatch.setattr("planner.api.plan_among", lambda *_, **__: make_answer(scaling=(make_plan(3),)))
    planner("plan", *JOB, "--plot", str(picture))
    assert "MFU" not in texts(picture)


@drawing
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": make_plan(8, capacity=40 * GIB)}, "does not fit: 32.6 GiB too much"),
        ({"refusals": ("tp does not divide the heads",)}, "cannot run: tp does not divide the heads"),
    ],
)
def test_what_cannot_run_is_drawn_and_says_so(planner, asked, monkeypatch, tmp_path, changes, said):
    picture = tmp_path / "memory.svg"
    monkeypatch.setattr("planner.api.evaluate", lambda *_, **__: make_evaluation(**changes))
    assert planner("evaluate", *JOB, "--plot", str(picture)).status == 3
    assert said in texts(picture)


@drawing
def test_a_plan_that_recommends_nothing_has_no_picture_and_a_note(planner, asked, monkeypatch, tmp_path):
    picture = tmp_path / "plan.svg"
    monkeypatch.setattr("planner.api.plan_among", lambda *_, **__: make_refusal())
    outcome = planner("plan", *JOB, "--plot", str(picture))
    assert outcome.status == 3
    assert "nothing is recommended" in outcome.err
    assert not picture.exists()


@drawing
@pytest.mark.parametrize("model", ["$x^2$_{", "模型 <&> \x1b[31m", "a/very/long/path/" * 20 + "config.json"])
def test_any_name_of_a_model_can_be_drawn(planner, asked, monkeypatch, tmp_path, model):
    picture = tmp_path / "memory.svg"
    answer = make_evaluation(question={"model": model, "cluster": "a100-pool"})
    monkeypatch.setattr("planner.api.evaluate", lambda *_, **__: answer)
    outcome = planner("evaluate", *JOB, "--plot", str(picture))
    assert (outcome.status, outcome.err) == (0, "")
    assert root(picture) == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("command", ["plan", "evaluate", "explain"])
def test_without_matplotlib_the_extra_is_named_before_anything_is_computed(planner, asked, monkeypatch, command):
    monkeypatch.setattr("planner.reports.pictures.file.find_spec", lambda name: None)
    outcome = planner(command, *JOB, "--plot", "memory.svg")
    assert (outcome.status, outcome.out) == (2, "")
    assert "pip install 'gpu-planner[plot]'" in outcome.err
    assert not asked


@pytest.mark.parametrize("command", ["plan", "evaluate", "explain"])
def test_a_file_of_another_format_is_refused_before_anything_is_computed(planner, asked, command):
    outcome = planner(command, *JOB, "--plot", "memory.docx")
    assert (outcome.status, outcome.out) == (2, "")
    assert "memory.docx" in outcome.err
    assert not asked


@drawing
def test_a_folder_that_does_not_exist_is_one_line(planner, asked, tmp_path):
    outcome = planner("evaluate", *JOB, "--plot", os.path.join(tmp_path, "none", "memory.svg"))
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1


def test_runs_are_not_drawn(planner, asked):
    outcome = planner("evaluate", "--runs", "runs.csv", "--plot", "memory.svg")
    assert outcome.status == 2
    assert "--plot cannot be given with --runs" in outcome.err
    assert not asked


@pytest.mark.parametrize(
    ("framework", "layout"),
    [
        ("megatron-core", {"tp": 8, "pp": 8, "vpp": 3}),
        ("megatron-core", {"tp": 8, "pp": 5, "recompute": "full"}),
        ("megatron-core", {"tp": 8}),
        ("torchtitan", {"tp": 8, "pp": 4, "dp": 2, "zero": 3}),
        ("torchtitan", {"dp": 8, "zero": 3}),
        ("megatron-core", {"pp": 200}),  # more stages than layers, which is refused
    ],
)
def test_the_fullest_stage_at_its_peak_is_the_plan_s_memory_to_the_bit(evaluated, framework, layout):
    plan = evaluated(framework, **layout)
    fullest = max(plan.stages, key=lambda stage: stage.total_bytes(stage.peak))
    assert [stage.stage for stage in plan.stages] == list(range(min(layout.get("pp", 1), 96)))
    assert fullest.stage == plan.memory.stage
    assert dict(fullest.instants[fullest.peak]) == dict(plan.memory.components)
    assert fullest.total_bytes(fullest.peak) == plan.memory.total_bytes


def test_every_representative_stage_holds_what_explain_says_of_it(evaluated):
    plan = evaluated(tp=8, pp=8, vpp=3)
    totals = [term for term in plan.memory_terms if term.name == f"all {term.component}"]
    assert totals
    for term in totals:
        instant = term.formula.removeprefix("sum at instant ")
        assert plan.stages[term.stage].instants[instant][term.component] == term.value


def test_states_of_all_stages_are_those_of_the_whole_model(evaluated):
    """Nothing of the model is lost or counted twice when it is cut into stages."""
    whole, cut = (evaluated(tp=8, pp=pp) for pp in (1, 8))
    for component in ("weights", "gradients"):
        parts = sum(stage.instants["forward"][component] for stage in cut.stages)
        assert parts == pytest.approx(whole.stages[0].instants["forward"][component], rel=0.01)


def test_labels_keep_their_order_do_not_touch_and_stay_in_their_room():
    random = np.random.default_rng(0)
    for number in (1, 2, 5, 11):
        wanted = sorted(random.uniform(0.0, 10.0, number))
        gaps = list(random.uniform(0.2, 0.9, number))
        places = apart(wanted, gaps, 0.0, 10.0)
        ends = [(place - gap / 2, place + gap / 2) for place, gap in zip(places, gaps, strict=True)]
        assert ends[0][0] >= -1e-9
        assert ends[-1][1] <= 10.0 + 1e-9
        assert all(left[1] <= right[0] + 1e-9 for left, right in pairwise(ends))
