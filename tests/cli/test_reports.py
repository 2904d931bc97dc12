"""What a person reads: the first screen answers the question, tables align, nothing steers the terminal."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
from cli.answers import CAPACITY, make_answer, make_evaluation, make_plan, make_refusal

import planner.reports
from planner.domain.plan import NearestMiss, SearchSummary
from planner.reports import evaluate, explain, plan
from planner.reports.blocks import Bar, Bullets, Facts, Flat, Report, Table, left, right, wrapped
from planner.reports.formats import render
from planner.reports.ink import Ink
from planner.reports.plan_table import scaling_table
from planner.reports.text_table import bar_text, table_lines

FIRST_SCREEN = 24


def text_of(report: Report) -> str:
    return render(report, "text", ink=Ink(enabled=False))


def test_the_first_screen_answers_how_many_why_how_laid_out_how_long_how_much():
    screen = "\n".join(text_of(plan.report(make_answer())).splitlines()[:FIRST_SCREEN])
    assert screen.startswith("llama-3-8b on a100-pool needs 3 GPUs\n")
    for part in ("why ", "tp 1 · pp 1 · dp 3", "120.0 days", "$12,346", "68.6 GiB of 79.2 GiB"):
        assert part in screen


def test_the_details_follow_in_their_order():
    text = text_of(plan.report(make_answer()))
    headings = (
        "Memory of the fullest GPU", "Time of one step", "Alternatives", "What more GPUs buy", "Searched 130,000",
        "Rule of thumb", "Assumed", "Notes", "Provenance",
    )  # fmt: skip
    positions = [text.index(heading) for heading in headings]
    assert positions == sorted(positions)


def test_layouts_with_finer_values_are_counted_where_some_were_tried():
    assert "Searched 130,000 layouts in 420.0 ms" in text_of(plan.report(make_answer()))
    searched = SearchSummary(layouts=130_000, feasible=6502, finer_layouts=4200, elapsed_s=0.42)
    text = text_of(plan.report(make_answer(search=searched)))
    assert "Searched 130,000 layouts, and 4,200 with finer values, in 420.0 ms" in text


def test_every_assumption_is_printed_with_its_origin():
    text = text_of(plan.report(make_answer()))
    for assumption in make_answer().assumptions:
        assert assumption.name in text
        assert assumption.origin in text


def test_more_than_the_fewest_gpus_is_said_as_such():
    text = text_of(plan.report(make_answer(recommended=make_plan(64))))
    assert text.startswith("llama-3-8b on a100-pool needs at least 3 GPUs; 64 GPUs recommended")


def test_one_gpu_is_not_several():
    assert "needs 1 GPU\n" in text_of(plan.report(make_answer(min_gpus=1, recommended=make_plan(1))))


def test_a_missed_deadline_is_not_called_a_lack_of_memory():
    miss = NearestMiss(layout=make_plan(8).layout, n_gpus=8, stage=None, missing_bytes=None, fix="a deadline of 60d")
    text = text_of(plan.report(make_answer(min_gpus=None, recommended=None, nearest_miss=miss)))
    assert text.startswith("llama-3-8b on a100-pool cannot meet what was asked")
    assert "a deadline of 60d" in text


def test_a_refusal_in_csv_is_its_nearest_miss():
    (row,) = plan.report(make_refusal()).flat.rows
    assert (row["role"], row["n_gpus"], row["fix"]) == (
        "nearest-miss",
        8,
        "recompute full, or 16 GPUs of the same kind",
    )


def test_no_price_is_not_zero_dollars():
    assert "no price known" in text_of(plan.report(make_answer(recommended=make_plan(cost_usd=None))))


def test_the_scaling_table_shows_doublings_the_last_and_the_recommended():
    plans = [make_plan(count) for count in range(3, 40)]
    table = scaling_table(plans, strong=(plans[4],))
    assert [row[0] for row in table.rows] == ["3", "6", "7", "12", "24", "39"]
    assert table.strong == {2}


def test_a_column_appears_when_an_axis_is_used():
    titles = [column.title for column in scaling_table([make_plan(4, layout={"ep": 4})]).columns]
    assert "ep" in titles
    assert "cp" not in titles


def test_what_does_not_fit_says_by_how_much():
    text = text_of(evaluate.report(make_evaluation(plan=make_plan(capacity=CAPACITY / 2))))
    assert "does not fit: 33.0 GiB too much" in text.splitlines()[0]


def test_refusals_are_listed():
    text = text_of(evaluate.report(make_evaluation(refusals=("tp 3 does not divide 32 heads",))))
    assert "cannot run" in text.splitlines()[0]
    assert "- tp 3 does not divide 32 heads" in text


def test_an_explanation_traces_every_term_to_its_formula_plugin_and_source():
    text = text_of(explain.report(make_evaluation()))
    for term in make_evaluation().plan.memory_terms[3:]:
        assert term.source in text
        assert term.formula.split()[0] in text
    assert "strategy_tensor" in text
    assert "core" in text


@pytest.mark.parametrize(("fraction", "drawn"), [(0, "····"), (0.5, "██··"), (1, "████"), (7, "████"), (0.001, "▏···")])
def test_a_bar_is_as_long_as_its_fraction_and_never_longer_than_its_place(fraction, drawn):
    assert bar_text(fraction, 4) == drawn


def test_numbers_align_to_the_right_and_words_to_the_left():
    table = Table(columns=(left("what"), right("n")), rows=(("a", "1"), ("bcd", "1,000")))
    assert table_lines(table, Ink(enabled=False), 80) == ["  what      n", "  a         1", "  bcd   1,000"]


def test_a_wide_table_wraps_its_flexible_column():
    table = Table(columns=(left("a"), wrapped("b")), rows=(("x", "word " * 40),))
    lines = table_lines(table, Ink(enabled=False), 60)
    assert max(map(len, lines)) <= 60
    assert len(lines) > 3


def test_bars_are_left_out_of_markdown():
    report = Report(
        document={}, flat=Flat(columns=(), rows=()),
        blocks=(Table(columns=(left("a"), left("")), rows=(("x", Bar(0.5)),)),),
    )  # fmt: skip
    assert render(report, "markdown", ink=Ink(enabled=False)) == "| a |\n| :--- |\n| x |\n"


@pytest.mark.parametrize("name", ["text", "markdown"])
def test_what_a_file_or_a_plugin_says_cannot_steer_the_terminal(name):
    report = Report(
        document={}, flat=Flat(columns=(), rows=()),
        blocks=(Facts((("a\x1b[2J", "b\x07"),)), Bullets(("c\x9b31m",)),
                Table(columns=(left("d"),), rows=(("\x1b]0;x",),))),
    )  # fmt: skip
    assert not set(render(report, name, ink=Ink(enabled=False))) & set("\x1b\x07\x9b")


@pytest.mark.parametrize("module", [module.name for module in pkgutil.iter_modules(planner.reports.__path__)])
def test_the_examples_in_docstrings_run(module):
    assert doctest.testmod(importlib.import_module(f"planner.reports.{module}")).failed == 0
