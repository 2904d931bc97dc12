"""`planner db check`, `backup`, `restore` and `prune` as they are called."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest

from planner.catalog.findings import CHECKS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    from planner.catalog.upgrade import upgrade

    upgrade(str(tmp_path / "catalog.db"))
    return tmp_path / "catalog.db"


@pytest.fixture
def spoiled(path: Path) -> Path:
    """A catalog with one fact that somebody changed."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE accelerator SET tdp_w = 1 WHERE slug = 'a100-sxm4-80gb'")
    connection.close()
    return path


def test_a_sound_catalog_says_what_was_checked(planner, path):
    outcome = planner("--database", str(path), "db", "check")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"all is well: {', '.join(CHECKS)}" in " ".join(outcome.out.split())


@pytest.mark.parametrize("output_format", ["json", "yaml", "csv", "markdown", "text"])
def test_an_error_is_exit_status_2_in_every_format(planner, spoiled, output_format):
    outcome = planner("--database", str(spoiled), "db", "check", "-f", output_format)
    assert (outcome.status, outcome.err) == (2, "")
    assert "a100-sxm4-80gb: tdp_w 1.0 instead of 400.0" in " ".join(outcome.out.replace("\\", "").split())


def test_a_check_in_json_and_csv(planner, spoiled):
    document = json.loads(planner("--database", str(spoiled), "db", "check", "-f", "json").out)
    assert (document["schema"], document["sound"]) == ("planner.db.check/1", False)
    (item,) = document["items"]
    assert (item["check"], item["severity"], item["table"], item["rows"]) == ("facts", "error", "accelerator", 1)
    (row,) = csv.DictReader(io.StringIO(planner("--database", str(spoiled), "db", "check", "-f", "csv").out))
    assert (row["check"], row["rows"]) == ("facts", "1")


def test_a_catalog_is_backed_up_spoiled_and_restored(planner, path, tmp_path):
    copy = str(tmp_path / "copy.db")
    document = json.loads(planner("--database", str(path), "db", "backup", copy, "-f", "json").out)
    assert (document["schema"], document["file"], document["user_rows"]) == ("planner.db.backup/1", copy, 0)
    assert planner("--database", str(path), "db", "downgrade", "0001").status == 0
    refused = planner("--database", str(path), "db", "restore", copy)
    assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "say --yes" in refused.err
    restored = json.loads(planner("--database", str(path), "db", "restore", copy, "--yes", "-f", "json").out)
    assert restored == {**document, "schema": "planner.db.restore/1"}
    assert planner("--database", str(path), "db", "check").status == 0


def test_nothing_to_prune_is_an_answer(planner, path):
    outcome = planner("--database", str(path), "db", "prune")
    assert (outcome.status, outcome.err) == (0, "")
    assert "nothing of a plugin that is not installed" in outcome.out
    document = json.loads(planner("--database", str(path), "db", "prune", "--dry-run", "-f", "json").out)
    assert document == {"schema": "planner.db.prune/1", "items": [], "dry_run": True}


def test_the_rows_of_plugins_that_are_switched_off_are_not_pruned_by_the_way(planner, path, monkeypatch):
    monkeypatch.setenv("PLANNER_PLUGINS_DISABLE", "*")
    outcome = planner("--database", str(path), "db", "prune")
    assert (outcome.status, outcome.out) == (2, "")
    assert "plugins are installed but left out" in outcome.err
    assert "unknown orphaned branch 'acme'" in planner("--database", str(path), "db", "prune", "acme").err
