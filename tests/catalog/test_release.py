"""From two folders of release files to the revision that leads from one to the other, and what a user sees of it."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from catalog.databases import dump

from planner.catalog import release, release_files
from planner.catalog.changes import Change, TableChanges, changes
from planner.catalog.comparison import changelog, difference
from planner.catalog.location import migrations_directory
from planner.catalog.reader import Catalog
from planner.catalog.tables import Base
from planner.catalog.upgrade import downgrade, upgrade
from planner.errors import InputError, UnknownNameError

RELEASES = migrations_directory().parent / "seed_data" / "releases"
KEY = {"node": ("slug",)}


def vendor_rows(path: Path, table: str) -> list[dict[str, Any]]:
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} WHERE layer = 'vendor'")]


def as_stored(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sorted by key; SQLite gives truth back as 0 and 1, which Python holds for equal."""
    return sorted(rows, key=lambda row: tuple(row[name] for name in release_files.primary_key(table)))


@pytest.mark.parametrize(
    ("revision", "folder"), [("0002", "2026-11"), ("0005", "2026-11b"), ("0007", "2026-11c"), ("0009", "2026-11d")]
)
def test_the_files_of_a_release_are_what_its_revision_leaves(
    empty_url: str, tmp_path: Path, revision: str, folder: str
) -> None:
    upgrade(empty_url, revision)
    path = tmp_path / "new" / "catalog.db"
    there = dump(path)
    for table, rows in release_files.read(RELEASES / folder).items():
        if table not in there:
            assert not rows, table
            continue
        if table == "alias":
            known = {row["kind"] for row in vendor_rows(path, "alias")}
            rows = [row for row in rows if row["kind"] in known]
        assert as_stored(table, vendor_rows(path, table)) == as_stored(table, rows), table


def test_changes_are_added_changed_and_removed() -> None:
    old = {"node": [{"slug": "a", "vcpus": 8, "note": ""}, {"slug": "b", "vcpus": 8, "note": ""}]}
    new = {"node": [{"slug": "b", "vcpus": 16, "note": ""}, {"slug": "c", "vcpus": 8, "note": ""}]}
    assert changes(old, new, KEY) == (
        TableChanges(
            "node",
            ("slug",),
            added=(new["node"][1],),
            changed=(Change({"slug": "b"}, {"vcpus": 8}, {"vcpus": 16}),),
            removed=(old["node"][0],),
        ),
    )
    assert changes(new, new, KEY) == ()


def test_unknown_and_zero_differ() -> None:
    (found,) = changes({"node": [{"slug": "a", "vcpus": None}]}, {"node": [{"slug": "a", "vcpus": 0}]}, KEY)
    assert found.changed == (Change({"slug": "a"}, {"vcpus": None}, {"vcpus": 0}),)


def test_two_rows_of_one_key_are_refused() -> None:
    with pytest.raises(InputError, match="two rows of node have slug 'a'"):
        changes({}, {"node": [{"slug": "a"}, {"slug": "a"}]}, KEY)


class Pack:
    """A plugin's branch made by the tool: releases in folders, revisions in one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = folder / "versions"
        self.versions.mkdir(parents=True)
        (folder / "none").mkdir()
        self.last = folder / "none"

    def csv(self, name: str, table: str, rows: list[dict[str, Any]]) -> None:
        self.next(name)
        with (self.folder / name / release_files.FILES[table]).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)

    def next(self, name: str) -> None:
        if not (self.folder / name).exists():
            shutil.copytree(self.last, self.folder / name)

    def release(self, name: str) -> int:
        status = release.main([
            str(self.last), str(self.folder / name), "--date", "2026-12-01", "--note", f"release {name}",
            "--layer", "acme", "--versions", str(self.versions),
        ])  # fmt: skip
        self.last = self.folder / name
        return status


FACT = {"source": "a test", "source_date": "2026", "confidence": "high", "note": ""}
NODE = {
    **FACT, "name": "Node", "provider": "Acme", "kind": "on-prem", "accelerator": "h100-sxm5-80gb",
    "accelerators_per_node": "8", "scaleup_domain": "8", "intra_node_topology": "switch",
}  # fmt: skip


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    made = Pack(tmp_path / "pack")
    made.csv("1", "node", [
        {"slug": "acme-a", **NODE, "vcpus": "96"}, {"slug": "acme-b", **NODE, "vcpus": ""},
        {"slug": "acme-c", **NODE, "vcpus": "1"},
    ])  # fmt: skip
    made.csv("1", "cluster", [{"slug": "acme-pool", **FACT, "name": "Pool", "node": "acme-c", "nodes": "4"}])
    assert made.release("1") == 0
    made.csv("2", "node", [
        {"slug": "acme-b", **NODE, "vcpus": "192", "note": "corrected"}, {"slug": "acme-c", **NODE, "vcpus": "1"},
        {"slug": "acme-d", **NODE, "vcpus": "64"},
    ])  # fmt: skip
    made.csv("2", "cluster", [{"slug": "acme-pool", **FACT, "name": "Pool", "node": "acme-d", "nodes": "4"}])
    assert made.release("2") == 0
    return made


def test_a_made_revision_moves_exactly_what_differs(url: str, path: Path, pack: Pack) -> None:
    branches = {"acme": pack.versions}
    released = dump(path)
    upgrade(url, "acme_0001", branches=branches)
    first = dump(path)
    upgrade(url, branches=branches)
    second = dump(path)
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT slug, vcpus, note, accelerator_layer FROM node WHERE layer = 'acme'"
        ).fetchall()
        assert sorted(rows) == [
            ("acme-b", 192, "corrected", "vendor"), ("acme-c", 1, "", "vendor"), ("acme-d", 64, "", "vendor"),
        ]  # fmt: skip
        assert connection.execute("SELECT node, node_layer FROM cluster WHERE layer = 'acme'").fetchall() == [
            ("acme-d", "acme")
        ]
    with Catalog.open(url, branches=branches) as catalog:
        assert catalog.cluster("acme-pool").accelerators == 32
        assert catalog.find("nodes", "acme-a") is None
    downgrade(url, "acme@-1", branches=branches)
    assert dump(path) == first
    upgrade(url, branches=branches)
    assert dump(path) == second
    downgrade(url, "acme@base", branches=branches)
    back = dump(path)
    assert {name: rows for name, rows in back.items() if name != "catalog_state"} == {
        name: rows for name, rows in released.items() if name != "catalog_state"
    }


def test_the_list_of_changes_is_one_line_a_row(pack: Pack) -> None:
    text = (pack.versions / "acme_0002.json").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if '"key": {"slug": "acme-b"}' in line]
    change = json.loads(line.strip().removesuffix("],"))
    assert change["old"] == {"note": "", "vcpus": None}
    assert change["new"] == {"note": "corrected", "vcpus": 192}
    assert [line for line in text.splitlines() if '"slug": "acme-a"' in line]
    assert json.loads(text)["release"] == "2"


def test_a_made_revision_needs_only_alembic_sqlalchemy_and_python(pack: Pack) -> None:
    text = (pack.versions / "acme_0002.py").read_text(encoding="utf-8")
    imported = [line for line in text.splitlines() if line.startswith(("import", "from"))]
    assert imported == [
        "from __future__ import annotations", "import json", "from collections import defaultdict", "from pathlib import Path",
        "from typing import Any", "import sqlalchemy as sa", "from alembic import op",
    ]  # fmt: skip


def test_the_same_facts_make_no_release(pack: Pack, capsys: pytest.CaptureFixture[str]) -> None:
    pack.next("3")
    assert pack.release("3") == 2
    assert "has the same facts as" in capsys.readouterr().err
    assert not (pack.versions / "acme_0003.py").exists()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("vcpus", "many", r"nodes.csv, line 2: invalid literal"),
        ("colour", "red", r"nodes.csv, line 2: 'colour'"),
    ],
)
def test_a_cell_that_does_not_fit_is_named(
    pack: Pack, capsys: pytest.CaptureFixture[str], column: str, value: str, message: str
) -> None:
    pack.csv("3", "node", [{"slug": "acme-e", **NODE, column: value}])
    assert pack.release("3") == 2
    assert message in capsys.readouterr().err


def test_a_day_that_is_none_and_a_folder_that_is_not_there_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        str(tmp_path / "a"),
        str(tmp_path / "b"),
        "--note",
        "n",
        "--layer",
        "acme",
        "--versions",
        str(tmp_path),
    ]
    assert release.main([*arguments, "--date", "soon"]) == 2
    assert release.main([*arguments, "--date", "2026-12-01"]) == 2
    assert release.main([*arguments[:6], "--date", "2026-12-01"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "error: 'soon' is not a day", f"error: there is no release {tmp_path / 'a'}", "error: no folder for the revisions of acme",
    ]  # fmt: skip


def test_the_difference_of_two_releases_is_what_their_files_differ_in() -> None:
    found = {each.table: each for each in difference("2026-11", "2026-11b").tables}
    old, new = release_files.read(RELEASES / "2026-11"), release_files.read(RELEASES / "2026-11b")
    keys = {table: release_files.primary_key(table) for table in new}
    expected = {each.table: each for each in changes(old, new, keys)}
    assert found.keys() == expected.keys()
    for table in expected.keys() - {"alias"}:
        parts = ("added", "changed", "removed")
        assert [len(getattr(found[table], part)) for part in parts] == [
            len(getattr(expected[table], part)) for part in parts
        ]


def test_a_difference_read_backwards_swaps_old_and_new() -> None:
    forth, back = difference("2026-11", "newest"), difference("newest", "2026-11")
    assert {each.table: (len(each.added), len(each.removed)) for each in forth.tables} == {
        each.table: (len(each.removed), len(each.added)) for each in back.tables
    }
    assert difference("2026-11d", "newest").tables == ()


def test_a_difference_from_base_is_everything() -> None:
    found = difference("base", "0002")
    assert {each.table for each in found.tables} >= {"accelerator", "architecture", "price", "peak_rate", "alias"}
    assert not any(each.changed or each.removed for each in found.tables)


def test_a_plugins_releases_are_compared_too(pack: Pack) -> None:
    branches = {"acme": pack.versions}
    found = difference("1", "2", branches=branches)
    assert (found.old, found.new, found.layer) == ("acme_0001", "acme_0002", "acme")
    nodes = next(each for each in found.tables if each.table == "node")
    assert nodes.changed == (
        Change({"slug": "acme-b"}, {"note": "", "vcpus": None}, {"note": "corrected", "vcpus": 192}),
    )
    with pytest.raises(InputError, match="not of one branch"):
        difference("2026-11", "2", branches=branches)


def test_an_unknown_release_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"2026-12.*2026-11c"):
        difference("2026-11", "2026-12")


def test_the_changelog_tells_what_is_applied(url: str, pack: Pack) -> None:
    downgrade(url, "0004")
    found = changelog(url, branches={"acme": pack.versions})
    assert [(each.slug, each.layer, each.applied) for each in found] == [
        ("2", "acme", False), ("1", "acme", False), ("2026-11d", "vendor", False), ("2026-11c", "vendor", False),
        ("2026-11b", "vendor", False), ("2026-11", "vendor", True),
    ]  # fmt: skip
    first, later = found[-1], found[2:-1]
    assert (first.revision, first.added, first.changed, first.removed) == ("0002", 1724, 0, 0)
    assert all(each.added is not None for each in later)
    assert first.added + sum((each.added or 0) - (each.removed or 0) for each in later) == sum(
        len(each.added) for each in difference("base", "newest").tables
    )


def test_the_changelog_counts_what_a_plugins_releases_move(url: str, pack: Pack) -> None:
    found = {each.slug: each for each in changelog(url, branches={"acme": pack.versions})}
    first, second = (found[name] for name in ("1", "2"))
    for counted, was, now in ((first, "base", "1"), (second, "1", "2")):
        tables = difference(was, now, branches={"acme": pack.versions}).tables
        moved = [sum(len(getattr(each, part)) for each in tables) for part in ("added", "changed", "removed")]
        assert [counted.added, counted.changed, counted.removed] == moved


def test_a_plugins_release_that_changed_an_entry_is_in_its_history(url: str, pack: Pack) -> None:
    branches = {"acme": pack.versions}
    upgrade(url, branches=branches)
    with Catalog.open(url, branches=branches) as catalog:
        events = catalog.history("nodes", "acme-b", branches=branches)
        without = catalog.history("nodes", "acme-b")
    assert [(each["event"], each["detail"]) for each in events] == [
        ("release 2", "changed vcpus, note"), ("release 1", "added"),
    ]  # fmt: skip
    assert {each["event"] for each in without} == {"release 1"}


def test_a_corrected_peak_is_in_the_history_of_its_accelerator(url: str) -> None:
    with Catalog.open(url) as catalog:
        (event,) = [each for each in catalog.history("accelerators", "a10") if each["event"] == "release 2026-11c"]
    assert (event["detail"], event["value"]) == ("changed fp64_flop_per_s", "976000000000.0 → 488000000000.0")


def test_every_table_of_facts_has_a_file() -> None:
    facts = {name for name, table in Base.metadata.tables.items() if "layer" in table.columns}
    assert facts == {*release_files.FILES, "alias", "release"}
