"""A backup is a catalog, taken while others work; restoring is whole or not at all, and never by surprise."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from catalog.databases import MAKER, branch, contents, dump, execute, run, users_cluster
from catalog.servers import Server

from planner.catalog.backup import backup, restore
from planner.catalog.integrity import check
from planner.catalog.location import core_revisions
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import downgrade, upgrade
from planner.errors import CatalogError, InputError

NEWEST = core_revisions()[-1]


def test_a_backup_is_a_catalog_with_the_users_rows(any_url: str, tmp_path: Path) -> None:
    execute(any_url, *users_cluster())
    copied = backup(any_url, tmp_path / "copy.db")
    assert (copied.revisions, copied.user_rows) == ((NEWEST,), 1)
    assert check(str(tmp_path / "copy.db")).findings == ()
    with Catalog.open(str(tmp_path / "copy.db")) as catalog:
        assert catalog.cluster("mine").accelerators == 24
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]


def test_a_backup_of_a_file_is_the_whole_file(url: str, path: Path, tmp_path: Path) -> None:
    upgrade(url, branches={"gh200": branch(tmp_path / "versions", "gh200")})
    backup(url, tmp_path / "copy.db")
    assert dump(tmp_path / "copy.db") == dump(path)


def test_a_restored_catalog_is_what_it_was(any_url: str, tmp_path: Path) -> None:
    execute(any_url, *users_cluster())
    before = contents(any_url)
    backup(any_url, tmp_path / "copy.db")
    execute(any_url, *users_cluster("other"), "UPDATE cluster SET nodes = 9 WHERE slug = 'mine'")
    restored = restore(any_url, tmp_path / "copy.db", replace=True)
    assert (restored.revisions, restored.user_rows) == ((NEWEST,), 1)
    assert contents(any_url) == before


def test_a_backup_moves_between_a_file_and_a_server(url: str, shared_url: str, tmp_path: Path) -> None:
    execute(url, *users_cluster())
    backup(url, tmp_path / "file.db")
    restore(shared_url, tmp_path / "file.db", replace=True)
    backup(shared_url, tmp_path / "server.db")
    assert contents(f"sqlite:///{tmp_path / 'server.db'}") == contents(url)


def test_a_server_takes_a_backup_of_an_older_revision(url: str, server: Server, tmp_path: Path) -> None:
    execute(url, *users_cluster())
    downgrade(url, "0001")
    backup(url, tmp_path / "copy.db")
    empty = server.url(server.make_database())
    assert restore(empty, tmp_path / "copy.db").revisions == (NEWEST,)
    with Catalog.open(empty) as catalog:
        assert catalog.cluster("mine").accelerators == 24


def test_restoring_makes_a_catalog_where_there_is_none(url: str, empty_url: str, tmp_path: Path) -> None:
    backup(url, tmp_path / "copy.db")
    restore(empty_url, tmp_path / "copy.db")
    assert contents(empty_url) == contents(url)


def test_a_catalog_is_replaced_only_when_that_is_said(any_url: str, tmp_path: Path) -> None:
    backup(any_url, tmp_path / "copy.db")
    execute(any_url, *users_cluster())
    before = contents(any_url)
    with pytest.raises(InputError, match=r"would be replaced, with 1 rows of the user's own \(say --yes"):
        restore(any_url, tmp_path / "copy.db")
    assert contents(any_url) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [("notes.txt", "is not a catalog"), ("other.db", "is not a catalog"), ("absent.db", "there is no file"),
     ("newer.db", "newer than this program"), ("empty.db", "is not a catalog"), ("folder", "there is no file")],
)  # fmt: skip
def test_a_file_that_is_no_catalog_is_not_restored(any_url: str, url: str, tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "notes.txt").write_text("shopping: milk, bread\n" * 100)
    run(tmp_path / "other.db", "CREATE TABLE bookmark (id INTEGER)")
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder").mkdir()
    backup(url, tmp_path / "newer.db")
    run(tmp_path / "newer.db", "UPDATE alembic_version SET version_num = '9999'")
    before = contents(any_url)
    with pytest.raises(InputError, match=why) as caught:
        restore(any_url, tmp_path / name, replace=True)
    assert caught.value.hint
    assert contents(any_url) == before


def test_a_damaged_backup_is_not_restored(url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    backup(url, copy)
    with copy.open("r+b") as file:
        file.seek(copy.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    before = contents(url)
    with pytest.raises(InputError, match=r"damaged|not a catalog"):
        restore(url, copy, replace=True)
    assert contents(url) == before


def test_another_programs_database_is_not_replaced(url: str, tmp_path: Path) -> None:
    backup(url, tmp_path / "copy.db")
    run(tmp_path / "other.db", "CREATE TABLE bookmark (id INTEGER)")
    with pytest.raises(CatalogError, match="holds other tables"):
        restore(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "copy.db", replace=True)
    assert set(dump(tmp_path / "other.db")) == {"bookmark"}


def test_a_backup_never_replaces_a_file(any_url: str, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("dear")
    with pytest.raises(InputError, match="exists already"):
        backup(any_url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "dear"


def test_a_catalog_is_not_restored_from_itself(url: str, path: Path) -> None:
    with pytest.raises(InputError, match="is the catalog itself"):
        restore(url, path, replace=True)


def test_a_backup_into_a_folder_that_is_not_there_is_refused(any_url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        backup(any_url, tmp_path / "no" / "copy.db")


def test_without_a_catalog_there_is_no_backup(any_empty_url: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no catalog"):
        backup(any_empty_url, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_while_another_writes_holds_one_state(url: str, path: Path, tmp_path: Path) -> None:
    """Every transaction adds two rows, so a copy has an even number of them."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            run(path, *users_cluster(f"a-{number}"), *users_cluster(f"b-{number}"))
            number += 1
            time.sleep(0.005)  # else nobody else ever gets at the file

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [backup(url, tmp_path / f"copy-{number}.db").user_rows for number in range(5)]
    finally:
        stop.set()
        writer.join()
    assert [rows % 2 for rows in copies] == [0] * 5
    assert check(url).findings == ()


def test_a_locked_catalog_is_not_waited_for_for_ever(
    url: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(url, tmp_path / "copy.db")
    monkeypatch.setattr("planner.catalog.backup.WRITE_TIMEOUT_S", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(CatalogError, match="locked"):
        restore(url, tmp_path / "copy.db", replace=True)
    holder.close()
    assert check(url).findings == ()


def test_a_server_keeps_the_rows_of_plugins_that_a_backup_lacks(shared_url: str, tmp_path: Path) -> None:
    branches = {
        "acme": branch(tmp_path / "versions", "acme", extra=MAKER.format(label="acme", vendor="acme", layer="acme"))
    }
    upgrade(shared_url, branches=branches)
    before = contents(shared_url)
    backup(shared_url, tmp_path / "copy.db")
    restore(shared_url, tmp_path / "copy.db", replace=True)
    after = contents(shared_url)
    assert after == before | {"catalog_state": after["catalog_state"]}


ALEMBIC = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"


@pytest.mark.parametrize("revision", [NEWEST, "0001", "ae1027a6acf"])
def test_another_programs_database_with_revisions_of_its_own_is_not_restored(
    any_url: str, tmp_path: Path, revision: str
) -> None:
    other = tmp_path / "other.db"
    run(other, ALEMBIC, f"INSERT INTO alembic_version VALUES ('{revision}')", "CREATE TABLE bookmark (id INTEGER)")
    before = contents(any_url)
    with pytest.raises(InputError, match=r"is not a catalog: .* holds other tables \(bookmark …\)"):
        restore(any_url, other, replace=True)
    assert contents(any_url) == before


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DROP TABLE price", "price"),
        ("ALTER TABLE node ADD COLUMN foo", "table node"),
        ("CREATE TRIGGER t AFTER INSERT ON vendor BEGIN DELETE FROM cluster; END", "table vendor"),
        ("DELETE FROM vendor WHERE slug = 'amd'", "refer to rows of vendor that are gone"),
    ],
)
def test_a_backup_that_its_revisions_did_not_make_is_not_restored(
    any_url: str, url: str, tmp_path: Path, statement: str, why: str
) -> None:
    copy = tmp_path / "copy.db"
    backup(url, copy)
    run(copy, "PRAGMA foreign_keys = OFF", statement)
    before = contents(any_url)
    with pytest.raises(InputError, match=why) as caught:
        restore(any_url, copy, replace=True)
    assert "cannot be restored" in caught.value.message
    assert contents(any_url) == before


def test_a_backup_with_facts_that_were_changed_by_hand_is_restored(url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    execute(url, *users_cluster())
    backup(url, copy)
    run(copy, "UPDATE vendor SET name = 'Mine' WHERE slug = 'amd'")
    assert restore(url, copy, replace=True).user_rows == 1
