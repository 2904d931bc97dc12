"""`planner catalog` and `planner db` on a real catalog."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from planner.catalog.kinds import TABLES


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A catalog of this module's own, at its newest revision."""
    from planner.catalog.upgrade import upgrade

    url = f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}"
    upgrade(url)
    return url


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_is_listed_within_100_columns(planner, database, kind):
    outcome = planner("--database", database, "catalog", "list", kind)
    assert (outcome.status, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 100


@pytest.mark.parametrize("kind", TABLES)
def test_a_list_has_as_many_rows_in_csv_as_items_in_json(planner, database, kind):
    rows = list(csv.DictReader(io.StringIO(planner("--database", database, "catalog", "list", kind, "-f", "csv").out)))
    document = json.loads(planner("--database", database, "catalog", "list", kind, "-f", "json").out)
    assert document["schema"] == "planner.catalog.list/1"
    assert [row["slug"] for row in rows] == [item["slug"] for item in document["items"]]
    assert rows


@pytest.mark.parametrize(("typed", "slug"), [("llama3-7b", "llama-3-8b"), ("llama-3-8b", "llama-3-8b")])
def test_an_entry_is_shown_by_slug_or_alias(planner, database, typed, slug):
    document = json.loads(planner("--database", database, "catalog", "show", "models", typed, "-f", "json").out)
    assert (document["schema"], document["slug"]) == ("planner.catalog.show/1", slug)


def test_an_accelerator_is_shown_with_units_and_its_sources_numbered(planner, database):
    text = planner("--database", database, "catalog", "show", "gpu", "a100-sxm4-80gb").out
    for part in ("80.0 GiB", "2.039 TB/s", "bf16 312 TFLOP/s", "2020", "Sources", "[1]"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_search_finds_entries_of_every_kind_by_all_words(planner, database):
    found = json.loads(planner("--database", database, "catalog", "search", "a100", "-f", "json").out)["items"]
    assert {"accelerators", "clusters"} <= {item["kind"] for item in found}
    assert "llama-3-8b" in planner("--database", database, "catalog", "search", "llama", "8b").out


def test_a_search_without_a_match_is_an_answer(planner, database):
    outcome = planner("--database", database, "catalog", "search", "zzzzzz")
    assert outcome.status == 0
    assert "nothing in the catalog contains 'zzzzzz'" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("list", "flowers"), "unknown kind 'flowers' (there are models, accelerators"),
        (("show", "models", "lama-3-8b"), "unknown model 'lama-3-8b' (did you mean llama-3-8b"),
    ],
)
def test_an_unknown_name_is_one_line_with_what_there_is(planner, database, arguments, line):
    outcome = planner("--database", database, "catalog", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert line in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_database_goes_up_down_and_up_again(planner, tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'catalog.db'}"

    def revisions(*command: str) -> list[str]:
        document = json.loads(planner("--database", url, "db", *command, "--format", "json").out)
        assert document["schema"] == "planner.db.current/1"
        return [item["revision"] for item in document["items"]]

    assert revisions("current") == []
    newest = revisions("upgrade")
    before = revisions("downgrade", "-1")
    assert newest != before
    assert revisions("upgrade") == newest
    assert revisions("current") == newest


def test_the_history_says_what_is_applied(planner, database):
    items = json.loads(planner("--database", database, "db", "history", "-f", "json").out)["items"]
    assert all(item["applied"] for item in items if item["branch"] == "core")
    assert sum(item["current"] for item in items if item["branch"] == "core") == 1


def test_an_unknown_revision_is_bad_input(planner, database):
    outcome = planner("--database", database, "db", "upgrade", "9999")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1


def test_a_file_that_is_no_database_is_bad_input_and_stays_as_it_is(planner, tmp_path: Path):
    stranger = tmp_path / "notes.txt"
    stranger.write_text("not a database, but long enough to be taken for one " * 20, encoding="utf-8")
    before = stranger.read_bytes()
    outcome = planner("--database", f"sqlite:///{stranger}", "catalog", "list", "models")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert stranger.read_bytes() == before


def test_a_plugin_left_out_is_a_warning_beside_any_answer_and_quiet_silences_it(planner, database, monkeypatch):
    monkeypatch.setenv("PLANNER_PLUGINS_DISABLE", "optimizer_adm")
    outcome = planner("--database", database, "catalog", "params", "--model", "llama3-7b", "-f", "json")
    assert outcome.status == 0
    assert json.loads(outcome.out)["total_params"] == 8_030_261_248
    assert outcome.err.startswith("planner: warning: plugin 'optimizer-adm' failed at disable")
    assert outcome.err.count("\n") == 1
    assert planner("--database", database, "--quiet", "catalog", "params", "--model", "llama3-7b").err == ""


@pytest.mark.parametrize("name", ["text", "json", "yaml", "csv", "markdown"])
def test_a_real_plan_is_printed_in_every_format(planner, database, name):
    outcome = planner("--database", database, "plan", "--model", "llama3-7b", "--cluster", "rtx-4090:8", "-f", name)
    assert (outcome.status, outcome.err) in ((0, ""), (3, ""))
    assert outcome.out.strip()


def test_a_real_answer_names_the_fewest_gpus_and_a_real_refusal_the_nearest_miss(planner, database):
    fits = planner("--database", database, "plan", "--model", "llama3-7b", "--cluster", "a100-pool")
    assert fits.status == 0
    assert "llama3-7b on a100-pool needs" in fits.out.splitlines()[0]
    assert max(map(len, fits.out.splitlines())) <= 100
    refused = planner("--database", database, "plan", "--model", "llama-3-70b", "--cluster", "rtx-4090:8", "-f", "json")
    assert refused.status == 3
    assert json.loads(refused.out)["answer"]["nearest_miss"]["missing_bytes"] > 0


def test_a_real_explanation_and_a_real_evaluation_say_the_same(planner, database):
    layout = ("--model", "llama3-7b", "--cluster", "a100-pool", "--tp", "2", "--dp", "4", "--zero", "1")
    evaluated = json.loads(planner("--database", database, "evaluate", *layout, "-f", "json").out)
    explained = json.loads(planner("--database", database, "explain", *layout, "-f", "json").out)
    assert explained["plan"] == evaluated["plan"]
    assert explained["memory_terms"]
    assert max(map(len, planner("--database", database, "explain", *layout).out.splitlines())) <= 100
