"""A full disk and a file that may not be written: one clear line, and nothing lost."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from catalog.databases import checksum, contents, execute, users_cluster

from planner.catalog.backup import backup
from planner.catalog.findings import ERROR
from planner.catalog.integrity import check
from planner.catalog.location import core_revisions
from planner.catalog.upgrade import downgrade, upgrade
from planner.errors import CatalogError
from planner.importing import import_entries

MANY = 3000
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
"""Of linux/prctl.h and linux/capability.h."""


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


@contextlib.contextmanager
def full_disk(pages: int = 1) -> Iterator[None]:
    """No SQLite file grows beyond `pages`, or what it has: what needs another fails as on a disk without room."""

    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    sa.event.listen(sa.Engine, "connect", limit)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", limit)


def planner(*arguments: str, largest_file_bytes: int | None = None) -> Done:
    """Run `planner` in a process of its own, which may write no file larger than that."""

    def limit() -> None:
        if os.geteuid() == 0:
            # Root minds no permissions; without these capabilities it does.
            for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
                ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability)
        if largest_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))

    script = "import sys; from planner.cli.main import run; sys.exit(run())"
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, *arguments],
        capture_output=True, text=True, check=False, preexec_fn=limit,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def sound(url: str) -> bool:
    return not [finding for finding in check(url).findings if finding.severity == ERROR]


def test_an_upgrade_on_a_full_disk_is_refused_and_loses_nothing(url: str) -> None:
    downgrade(url, "0001")
    execute(url, "VACUUM")
    execute(url, *users_cluster())
    before = contents(url)
    with full_disk(), pytest.raises(CatalogError, match=r"the disk is full \(make room, then try again; nothing was"):
        upgrade(url)
    assert contents(url) == before
    assert sound(url)
    assert upgrade(url) == (core_revisions()[-1],)


def test_a_first_use_on_a_full_disk_is_refused_and_can_be_repeated(empty_url: str) -> None:
    with full_disk(), pytest.raises(CatalogError, match="the disk is full"):
        upgrade(empty_url)
    assert contents(empty_url) == {}
    upgrade(empty_url)
    assert sound(empty_url)


def test_an_import_on_a_full_disk_is_refused_and_loses_nothing(url: str, tmp_path: Path) -> None:
    execute(url, *users_cluster())
    entries = [
        {"entry": "clusters", "slug": f"new-{number}", "name": "New", "node": "dgx-a100-640", "nodes": 2, "source": "me",
         "confidence": "high"}
        for number in range(MANY)
    ]  # fmt: skip
    (tmp_path / "rows.json").write_text(json.dumps({"schema": "planner.catalog.export/1", "items": entries}))
    before = contents(url)
    with full_disk(), pytest.raises(CatalogError, match="the disk is full"):
        import_entries(str(tmp_path / "rows.json"), database=url)
    assert contents(url) == before
    assert sound(url)


def test_rows_that_wait_on_a_full_disk_go_on_waiting(url: str, path: Path, tmp_path: Path) -> None:
    execute(url, *(line for number in range(200) for line in users_cluster(f"own-{number}")))
    downgrade(url, "base")
    execute(url, "VACUUM")
    before = contents(url)
    whole = f"sqlite:///{shutil.copy(path, tmp_path / 'whole.db')}"
    upgrade(whole)
    with contextlib.closing(sqlite3.connect(tmp_path / "whole.db")) as connection:
        (needed,) = connection.execute("PRAGMA page_count").fetchone()
    # The rows come back last, so the last pages are theirs.
    for missing in (1, 4, 8):
        with full_disk(needed - missing), pytest.raises(CatalogError, match="the disk is full"):
            upgrade(url)
        assert contents(url) == before
    upgrade(url)
    assert check(url).findings == ()
    assert check(url).user_rows == 200


@pytest.mark.parametrize("command", ["backup", "restore", "upgrade"])
def test_a_write_that_fails_half_way_is_one_line_and_loses_nothing(
    url: str, path: Path, tmp_path: Path, command: str
) -> None:
    backup(url, tmp_path / "copy.db")
    if command == "upgrade":
        downgrade(url, "0001")
    execute(url, "VACUUM", *users_cluster())
    before = contents(url)
    arguments = {
        "backup": ("db", "backup", str(tmp_path / "another.db")),
        "restore": ("db", "restore", str(tmp_path / "copy.db"), "--yes"),
        "upgrade": ("db", "upgrade"),
    }[command]
    done = planner("--database", url, *arguments, largest_file_bytes=100_000)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1), done
    assert "disk" in done.err
    assert (f"backup '{tmp_path / 'another.db'}' cannot be" in done.err) == (command == "backup")
    assert contents(url) == before
    assert sound(url)
    assert not (tmp_path / "another.db").exists()
    assert not [left for left in tmp_path.iterdir() if left.name.startswith(".another")]


@pytest.fixture
def read_only(path: Path) -> Iterator[Path]:
    """A catalog that nobody may write, in a folder that nobody may write."""
    path.chmod(0o444)
    path.parent.chmod(0o555)
    yield path
    path.parent.chmod(0o755)


@pytest.mark.parametrize("command", [("db", "downgrade", "-1"), ("calibrate", "--forget")])
def test_a_read_only_file_is_read_but_not_written(read_only: Path, command: tuple[str, ...]) -> None:
    before = checksum(read_only)
    shown = planner("--database", str(read_only), "catalog", "show", "models", "llama3-7b")
    assert (shown.status, shown.err) == (0, "")
    done = planner("--database", str(read_only), *command)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert "cannot be written (make the file and its directory writable" in done.err
    assert checksum(read_only) == before


@pytest.mark.parametrize(
    "command", [("catalog", "list", "vendors"), ("db", "upgrade"), ("db", "check"), ("db", "prune")]
)
def test_a_folder_that_may_not_be_looked_into_is_one_line(path: Path, command: tuple[str, ...]) -> None:
    path.parent.chmod(0o000)
    try:
        done = planner("--database", str(path), *command)
    finally:
        path.parent.chmod(0o755)
    assert (done.status, done.out) == (2, "")
    said = f"planner: error: catalog {path} cannot be opened: Permission denied (check that the path exists"
    assert done.err == f"{said} and that you may use it)\n"
