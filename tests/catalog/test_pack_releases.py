"""The releases of the repository's own pack, in process: what is compared, listed and made from its revisions."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.catalog import release, release_files
from planner.catalog.comparison import changelog, difference
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import upgrade
from planner.errors import UnknownNameError

PACK = Path(__file__).resolve().parents[2] / "plugins" / "packs" / "tpu" / "planner_tpu"
FACTS = PACK / "facts" / "tpu-2026-11"
TPU = {"tpu": PACK / "versions"}


def rows(name: str) -> list[dict[str, str]]:
    with (FACTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def next_release(folder: Path, versions: Path) -> int:
    """A release after the pack's: one slice gone, another with a note."""
    new = folder / "tpu-2026-12"
    shutil.copytree(FACTS, new)
    lines = (new / "clusters.csv").read_text(encoding="utf-8").splitlines()
    gone, noted, *others = lines[1:]
    (new / "clusters.csv").write_text("\n".join([lines[0], f"{noted}read again", *others]) + "\n", encoding="utf-8")
    names = (new / "aliases.csv").read_text(encoding="utf-8").splitlines()
    slug = gone.partition(",")[0]
    (new / "aliases.csv").write_text(
        "\n".join(name for name in names if not name.endswith(f",{slug}")) + "\n", encoding="utf-8"
    )
    return release.main([
        str(FACTS), str(new), "--date", "2026-12-15", "--note", "v4 again", "--layer", "tpu",
        "--versions", str(versions),
    ])  # fmt: skip


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """The pack's revisions, where a test may add to them."""
    return Path(shutil.copytree(TPU["tpu"], tmp_path / "versions", ignore=shutil.ignore_patterns("__pycache__")))


def renamed(versions: Path) -> None:
    """A revision's file may be called more than its id."""
    (versions / "tpu_0001.py").rename(versions / "tpu_0001_slices.py")


def test_the_revision_leaves_what_the_files_say(empty_url: str, tmp_path: Path) -> None:
    upgrade(empty_url, branches=TPU)
    with sqlite3.connect(tmp_path / "new" / "catalog.db") as connection:
        connection.row_factory = sqlite3.Row
        for table, expected in release_files.read(FACTS, "tpu").items():
            stored = connection.execute(f"SELECT * FROM {table} WHERE layer = 'tpu'").fetchall()
            found = sorted((dict(row) for row in stored), key=lambda row: str(sorted(row.items(), key=str)))
            assert found == sorted(expected, key=lambda row: str(sorted(row.items(), key=str))), table


@pytest.mark.parametrize("name", ["tpu_0001", "tpu-2026-11"])
def test_the_packs_release_is_compared_with_nothing(name: str) -> None:
    found = difference("base", name, branches=TPU)
    assert (found.old, found.new, found.layer) == ("base", "tpu_0001", "tpu")
    added = {each.table: len(each.added) for each in found.tables}
    assert added == {
        "cluster": len(rows("clusters.csv")), "node": len(rows("nodes.csv")), "source": len(rows("sources.csv")),
        "alias": len(rows("aliases.csv")),
    }  # fmt: skip


def test_a_revision_is_known_by_its_id_and_not_by_its_files_name(versions: Path) -> None:
    renamed(versions)
    branches = {"tpu": versions}
    assert {each.table for each in difference("base", "tpu_0001", branches=branches).tables} >= {"cluster", "node"}
    with pytest.raises(UnknownNameError, match="tpu_0001_slices"):
        difference("base", "tpu_0001_slices", branches=branches)


@pytest.mark.parametrize("rename", [lambda _: None, renamed])
def test_the_tool_makes_the_packs_next_release(tmp_path: Path, versions: Path, rename: Callable[[Path], None]) -> None:
    rename(versions)
    assert next_release(tmp_path, versions) == 0
    found = difference("tpu-2026-11", "tpu-2026-12", branches={"tpu": versions})
    assert (found.old, found.new) == ("tpu_0001", "tpu_0002")
    (clusters,) = (each for each in found.tables if each.table == "cluster")
    first, second, *_ = rows("clusters.csv")
    assert [row["slug"] for row in clusters.removed] == [first["slug"]]
    assert [(each.key, each.new) for each in clusters.changed] == [({"slug": second["slug"]}, {"note": "read again"})]


def test_two_newest_revisions_are_refused(tmp_path: Path, versions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = (versions / "tpu_0001.py").read_text(encoding="utf-8")
    second = first.replace('branch_labels = ("tpu",)', "branch_labels = None").replace(
        "down_revision = None", 'down_revision = "tpu_0001"'
    )
    for name in ("tpu_0002", "tpu_0003"):
        (versions / f"{name}.py").write_text(
            second.replace('\nrevision = "tpu_0001"', f'\nrevision = "{name}"'), encoding="utf-8"
        )
    assert next_release(tmp_path, versions) == 2
    assert "tpu_0002 and tpu_0003" in capsys.readouterr().err


def test_the_changelog_and_the_history_date_the_packs_facts(url: str) -> None:
    upgrade(url, branches=TPU)
    found = {each.slug: each for each in changelog(url, branches=TPU)}
    listed = found["tpu-2026-11"]
    assert (listed.layer, listed.revision, listed.released_on, listed.applied) == (
        "tpu", "tpu_0001", "2026-11-24", True,
    )  # fmt: skip
    assert listed.added == sum(len(rows(path.name)) for path in FACTS.glob("*.csv"))
    with Catalog.open(url, branches=TPU) as catalog:
        events = catalog.history("clusters", "v4-8")
    assert [(event["date"], event["event"], event["detail"]) for event in events] == [
        ("2026-11-24", "release tpu-2026-11", "added")
    ]
