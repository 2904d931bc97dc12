"""An answer is of one state of the catalog, whoever upgrades it meanwhile; and nobody waits for a reader who only computes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from planner import api
from planner.catalog.browse import Filters
from planner.catalog.database import Database
from planner.catalog.location import core_revisions
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import current, downgrade, upgrade
from planner.catalog.user_layer import entries_of

NODE = "azure-nd128isr-gb200-v6"
"""A node whose memory only release 2026-11b knows."""
QUESTIONS: dict[str, Callable[[Catalog], Any]] = {
    "a row": lambda catalog: catalog.row("nodes", NODE),
    "a page": lambda catalog: catalog.page("nodes", Filters(limit=3)),
    "a search": lambda catalog: catalog.search_page("aws", Filters(limit=1000)),
    "a cluster": lambda catalog: catalog.cluster("h100:8x8"),
    "a history": lambda catalog: catalog.history("nodes", NODE),
    "sources": lambda catalog: catalog.rows("sources"),
    "failures": lambda catalog: catalog.revision + repr(catalog.rows("failures")),
}


@pytest.fixture
def logged_url(path: Path) -> str:
    """A file with a write-ahead log, at the revision before release 2026-11b: it can be upgraded while somebody reads it."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    url = f"sqlite:///{path}"
    downgrade(url, "0004")
    return url


@pytest.fixture(params=["file", "server"])
def older(request: pytest.FixtureRequest) -> str:
    """As `logged_url`, then the same on a server."""
    if request.param == "file":
        url: str = request.getfixturevalue("logged_url")
        return url
    url = request.getfixturevalue("shared_url")
    downgrade(url, "0004")
    return url


def upgraded_after_a_name(monkeypatch: pytest.MonkeyPatch, url: str) -> list[str]:
    """Let an upgrade begin and end after the next query for names, which answers begin with; filled when that was."""
    reached: list[str] = []
    select = Database.select

    def and_then(self: Database, query: str, **values: object) -> list[dict[str, Any]]:
        found = select(self, query, **values)
        if not reached and "FROM alias" in query:
            reached.append("soon")
            reached[:] = upgrade(url)
        return found

    monkeypatch.setattr(Database, "select", and_then)
    return reached


@pytest.mark.parametrize("question", ["a row", "a search", "a cluster", "a history"])
def test_an_answer_holds_no_two_states(logged_url: str, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    with Catalog.open(logged_url) as catalog:
        before = QUESTIONS[question](catalog)
        reached = upgraded_after_a_name(monkeypatch, logged_url)
        assert QUESTIONS[question](catalog) == before
        assert reached == [core_revisions()[-1]]


def test_several_answers_of_one_snapshot_hold_no_two_states(older: str) -> None:
    with Catalog.open(older) as catalog:
        with catalog.snapshot():
            before = {name: ask(catalog) for name, ask in QUESTIONS.items()}
            upgrade(older)
            assert {name: ask(catalog) for name, ask in QUESTIONS.items()} == before
        after = {name: ask(catalog) for name, ask in QUESTIONS.items()}
        assert after["a row"]["host_memory_bytes"] != before["a row"]["host_memory_bytes"]
        assert after["failures"] != before["failures"]


def test_a_plan_holds_no_two_states(older: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = upgraded_after_a_name(monkeypatch, older)
    answer = api.plan(api.Recipe(model="llama3-8b", cluster="h100:8"), database=older)
    assert answer.provenance["catalog"] == "0004"
    assert reached == [core_revisions()[-1]]


def test_an_export_holds_no_two_states(older: str) -> None:
    entries = entries_of(older, ["nodes", "failures"], ("vendor",))
    first = next(entries)
    upgrade(older)
    rest = list(entries)
    assert first.kind == "nodes"
    assert not [entry for entry in rest if entry.kind == "failures"]
    assert NODE in {entry.slug for entry in rest if entry.values.get("host_memory_bytes") is None}


def test_an_upgrade_of_a_file_waits_for_a_snapshot_and_for_no_longer(url: str) -> None:
    downgrade(url, "0004")
    with Catalog.open(url) as catalog:
        writer = threading.Thread(target=upgrade, args=(url,))
        with catalog.snapshot():
            before = catalog.row("nodes", NODE)
            writer.start()
            writer.join(1.0)
            assert writer.is_alive()
            assert catalog.row("nodes", NODE) == before
            assert catalog.revision == "0004"
        writer.join(20)
        assert not writer.is_alive()
        assert catalog.row("nodes", NODE) != before


def test_a_plan_computes_outside_its_snapshot(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import planner.answers

    answer = planner.answers.answer_plan

    def while_another_writes(*arguments: Any, **options: Any) -> Any:
        started = time.monotonic()
        downgrade(url, "0004")
        assert time.monotonic() - started < 10
        return answer(*arguments, **options)

    monkeypatch.setattr(planner.answers, "answer_plan", while_another_writes)
    found = api.plan(api.Recipe(model="llama3-8b", cluster="h100:8"), database=url)
    assert found.provenance["catalog"] == core_revisions()[-1]
    assert current(url) == ("0004",)


def test_snapshots_within_one_another_are_one(path: Path) -> None:
    with Catalog.open(f"sqlite:///{path}") as catalog:
        with catalog.snapshot(), catalog.snapshot():
            catalog.names("models")
        with pytest.raises(ZeroDivisionError), catalog.snapshot(), catalog.snapshot():
            raise ZeroDivisionError
        with sqlite3.connect(path, timeout=0.1) as connection:
            connection.execute("DELETE FROM price")
        assert not catalog.rows("prices")
