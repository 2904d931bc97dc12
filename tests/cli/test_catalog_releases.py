"""`planner catalog diff`, `planner catalog changelog`, and `planner db` where rows of the user's own wait."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest

MINE = (
    "INSERT INTO cluster (slug, layer, name, source, confidence, note, node, nodes) "
    "VALUES ('mine', 'user', 'Mine', 'me', 'high', '', 'dgx-a100-640', 3)"
)


@pytest.fixture
def database(tmp_path: Path) -> str:
    from planner.catalog.upgrade import upgrade

    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    upgrade(url)
    return url


def test_a_diff_says_what_changed_field_by_field(planner):
    document = json.loads(planner("catalog", "diff", "2026-11", "2026-11b", "-f", "json").out)
    assert document["schema"] == "planner.catalog.diff/1"
    assert document["from"] == {"name": "2026-11", "revision": "0002"}
    assert document["to"] == {"name": "2026-11b", "revision": "0005"}
    assert document["layer"] == "vendor"
    changed = {item["entry"]: item["fields"] for item in document["items"] if item["change"] == "changed"}
    assert changed["trainium1"]["memory_bandwidth_bytes_per_s"] == {"old": 820e9, "new": 820 * 2**30}
    added = {(item["kind"], item["entry"]) for item in document["items"] if item["change"] == "added"}
    assert {("accelerators", "gaudi1"), ("peak rates", "gaudi1 bf16"), ("carbon", "france")} <= added
    counts = {row["kind"]: row["added"] for row in document["summary"]}
    assert counts["carbon"] == sum(kind == "carbon" for kind, _ in added)


@pytest.mark.parametrize("name", ["tpu_0001", "tpu-2026-11"])
def test_a_diff_takes_the_names_of_a_packs_releases(planner, monkeypatch, name):
    pack = Path(__file__).resolve().parents[2] / "plugins" / "packs" / "tpu" / "planner_tpu"
    monkeypatch.setattr("planner.cli.catalog_releases.catalog_branches", lambda: {"tpu": pack / "versions"})
    document = json.loads(planner("catalog", "diff", "base", name, "--kind", "clusters", "-f", "json").out)
    assert (document["to"], document["layer"]) == ({"name": name, "revision": "tpu_0001"}, "tpu")
    with (pack / "facts" / "tpu-2026-11" / "clusters.csv").open(encoding="utf-8", newline="") as file:
        assert {item["entry"] for item in document["items"]} == {row["slug"] for row in csv.DictReader(file)}


def test_a_diff_for_people_shows_units_and_the_fact_before_its_source(planner):
    text = planner("catalog", "diff", "2026-11", "2026-11b", "--kind", "accelerators").out
    lines = [line.split() for line in text.splitlines()]
    assert ["trainium1", "memory", "bandwidth", "820.0", "GB/s", "880.5", "GB/s"] in lines
    assert ["tpu-v3", "tdp", "450", "W", "262", "W"] in lines
    fields = [line[1] for line in lines if line[:1] == ["tpu-v3"] and len(line) > 2]
    assert fields.index("tdp") < fields.index("source")
    assert "Carbon" not in text


def test_a_diff_in_csv_has_a_row_a_field(planner):
    rows = list(csv.DictReader(io.StringIO(planner("catalog", "diff", "2026-11", "2026-11b", "-f", "csv").out)))
    assert {
        "change": "changed",
        "kind": "accelerators",
        "entry": "tpu-v4",
        "field": "tdp_w",
        "old": "",
        "new": "192.0",
    } in rows
    assert {row["change"] for row in rows} == {"changed", "added"}


@pytest.mark.parametrize("style", ["yaml", "markdown"])
def test_a_diff_comes_in_every_format(planner, style):
    outcome = planner("catalog", "diff", "0004", "newest", "-f", style)
    assert (outcome.status, outcome.err) == (0, "")
    assert "tpu-v4" in outcome.out


def test_equal_states_have_no_difference(planner):
    assert planner("catalog", "diff", "0002", "0004").out == "0002 and 0004 hold the same facts\n"
    assert json.loads(planner("catalog", "diff", "newest", "-f", "json").out)["items"] == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("2026-12",), "unknown release or revision '2026-12'"),
        (("2026-11", "2026-11b", "--kind", "flowers"), "unknown kind 'flowers'"),
    ],
)
def test_an_unknown_release_or_kind_is_one_line(planner, arguments, line):
    outcome = planner("catalog", "diff", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert line in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_changelog_lists_releases_newest_first_and_what_this_catalog_has(planner, database):
    planner("--database", database, "db", "downgrade", "0004")
    document = json.loads(planner("--database", database, "catalog", "changelog", "-f", "json").out)
    assert document["schema"] == "planner.catalog.changelog/1"
    assert [(item["slug"], item["applied"]) for item in document["items"]] == [
        ("2026-11d", False), ("2026-11c", False), ("2026-11b", False), ("2026-11", True),
    ]  # fmt: skip
    text = planner("--database", database, "catalog", "changelog").out
    assert "2026-11-24" in text
    assert "corrections" in text


def test_a_downgrade_says_that_rows_of_ones_own_wait_and_an_upgrade_brings_them_back(planner, database, tmp_path: Path):
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute(MINE)
    outcome = planner("--database", database, "db", "downgrade", "base")
    assert outcome.status == 0
    assert "1 row of yours waits for a table or a rule that allows them: planner db parked shows them" in outcome.err
    (item,) = json.loads(planner("--database", database, "db", "parked", "-f", "json").out)["items"]
    assert (item["table"], item["slug"], item["why"], item["row"]["nodes"]) == ("cluster", "mine", "no table yet", 3)
    outcome = planner("--database", database, "db", "upgrade")
    assert "waits" not in outcome.err
    assert "mine" in planner("--database", database, "catalog", "list", "clusters").out
    assert "no row waits" in planner("--database", database, "db", "parked").out


def test_what_waits_is_removed_on_request_alone(planner, database, tmp_path: Path):
    with sqlite3.connect(tmp_path / "catalog.db") as connection:
        connection.execute(MINE)
    planner("--database", database, "db", "downgrade", "base")
    assert "mine" in planner("--database", database, "db", "parked", "--discard").out
    planner("--database", database, "db", "upgrade")
    assert "mine" not in planner("--database", database, "catalog", "list", "clusters").out


def test_relative_revisions_work_as_alembic_users_expect(planner, database):
    def at(*command: str) -> list[str]:
        document = json.loads(planner("--database", database, "db", *command, "-f", "json").out)
        return [item["revision"] for item in document["items"]]

    (newest,) = at("current")
    assert at("downgrade", "-2") == [f"{int(newest) - 2:04d}"]
    assert at("upgrade", "+1") == [f"{int(newest) - 1:04d}"]
    assert at("upgrade", "core@+1") == [newest]
    assert at("downgrade", "0002") == ["0002"]
    assert at("upgrade", "heads") == [newest]
    assert at("downgrade", "base") == []
    assert at("upgrade", "0001") == ["0001"]
    outcome = planner("--database", database, "db", "upgrade", "+9")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
