"""A database that cannot be used is refused in one line, and nothing in it changes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from catalog.databases import checksum, drop_column, dump, run

from planner.catalog.engine import shown
from planner.catalog.location import core_revisions
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import current, downgrade, upgrade
from planner.errors import CatalogError, PlannerError

KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 2")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM alias")
connection.execute("DELETE FROM architecture")
os.kill(os.getpid(), signal.SIGKILL)
"""


def refusal(url: str) -> CatalogError:
    """What opening says; it is one line with a hint."""
    with pytest.raises(CatalogError) as caught:
        Catalog.open(url).close()
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2
    return caught.value


def test_a_newer_database_is_refused_and_unchanged(url: str, path: Path) -> None:
    run(
        path,
        "UPDATE alembic_version SET version_num = '0999'",
        "UPDATE catalog_state SET known_revisions = 'core: 0999'",
    )
    before = checksum(path)
    assert "newer than this program" in str(refusal(url))
    with pytest.raises(CatalogError, match="newer than this program"):
        upgrade(url)
    assert checksum(path) == before


def test_a_locked_database_is_refused(url: str, path: Path) -> None:
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert "locked" in str(refusal(f"{url}?timeout=0.05"))
    with pytest.raises(CatalogError, match="locked"):
        upgrade(f"{url}?timeout=0.05")
    holder.close()


def test_a_file_that_is_no_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping: milk, bread\n" * 100)
    before = checksum(path)
    assert "not an SQLite database" in str(refusal(f"sqlite:///{path}"))
    assert checksum(path) == before


def test_a_corrupt_database_is_refused_and_unchanged(url: str, path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    before = checksum(path)
    assert "corrupt" in str(refusal(url))
    assert checksum(path) == before


def test_a_database_cut_short_never_ends_in_another_error(url: str, path: Path) -> None:
    for size in (60, 1000, 4096, 20_000):
        os.truncate(path, size)
        with pytest.raises(PlannerError):
            Catalog.open(url).architecture("llama-3-8b")


def test_another_programs_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    run(path, "CREATE TABLE bookmark (id INTEGER)")
    before = checksum(path)
    assert "no catalog" in str(refusal(f"sqlite:///{path}"))
    assert checksum(path) == before


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "not a file" in str(refusal(f"sqlite:///{tmp_path}"))
    with pytest.raises(CatalogError, match="not a file"):
        upgrade(str(tmp_path))
    with pytest.raises(CatalogError, match="not a file"):
        current(str(tmp_path))


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be made" in str(refusal(f"sqlite:///{tmp_path}/file/deep/catalog.db"))


def test_a_database_opened_read_only_cannot_be_upgraded(path: Path) -> None:
    run(path, "UPDATE alembic_version SET version_num = '0001'", "DELETE FROM catalog_state")
    before = checksum(path)
    assert "read-only" in str(refusal(f"sqlite:///file:{path}?mode=ro&uri=true"))
    assert checksum(path) == before


@pytest.mark.parametrize("ask", ["architecture", "rows"])
def test_a_read_only_database_that_was_taken_back_says_that_it_is_older(url: str, path: Path, ask: str) -> None:
    downgrade(url, "0001")
    with Catalog.open(f"sqlite:///file:{path}?mode=ro&uri=true") as catalog, pytest.raises(CatalogError) as caught:
        catalog.architecture("llama3-7b") if ask == "architecture" else catalog.rows("models")
    assert f"at revision 0001, older than this program ({core_revisions()[-1]}), and read-only" in caught.value.message
    assert caught.value.hint
    assert caught.value.hint.startswith("make the file and its directory writable and run planner db upgrade, or")


def test_a_database_that_may_be_written_is_told_to_be_upgraded(url: str) -> None:
    downgrade(url, "0001")
    with Catalog.open(url) as catalog, pytest.raises(CatalogError, match="older than this program") as caught:
        catalog.architecture("llama3-7b")
    assert caught.value.hint == "run: planner db upgrade"


ASK = {
    "partial_rotary": lambda catalog: catalog.architecture("llama3-7b"),
    "scaleup_domain": lambda catalog: catalog.cluster("a100-pool"),
    "usd_per_accelerator_hour": lambda catalog: catalog.cluster("h100:8"),
    "flop_per_s": lambda catalog: catalog.rows("accelerators"),
    "achieved_per_s": lambda catalog: catalog.row("accelerators", "a100"),
    "name": lambda catalog: catalog.search("llama"),
}
"""A column that only a part of the tables have, and what needs it."""


@pytest.mark.parametrize("column", ASK)
def test_a_database_that_lacks_a_column_of_its_revision_is_refused(url: str, path: Path, column: str) -> None:
    for name, (sql, _) in dump(path).items():
        if column in " ".join(sql):
            drop_column(path, name, column)
    with Catalog.open(url) as catalog, pytest.raises(CatalogError) as caught:
        ASK[column](catalog)
    assert "does not fit this program" in caught.value.message
    assert caught.value.hint
    assert caught.value.hint.startswith(
        "delete the file or name another with PLANNER_DATABASE_URL; the catalog is made"
    )


def test_an_up_to_date_read_only_file_is_read(url: str, path: Path) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with Catalog.open(url) as catalog:
            assert catalog.resolve("models", "llama3-7b") == "llama-3-8b"
    finally:
        path.parent.chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_without_a_catalog_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    refusal(f"sqlite:///{tmp_path}/catalog.db")
    tmp_path.chmod(0o755)


def test_an_interrupted_writer_is_rolled_back(url: str, path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert path.with_name("catalog.db-journal").exists()
    with Catalog.open(url) as catalog:
        assert catalog.architecture("llama3-7b").layers == 32


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://", "sqlite:///:memory:", "nonsense://host/db", "://", "mysql://user:secret@localhost/db",
        "postgresql+psycopg://user:secret@127.0.0.1:1/db",
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    assert "secret" not in str(refusal(url))


def test_a_password_is_never_shown() -> None:
    assert "secret" not in shown("postgresql+psycopg://user:secret@host/db")


def test_an_empty_file_becomes_a_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.touch()
    with Catalog.open(str(path)) as catalog:
        assert catalog.names("models")


def test_reading_takes_no_lock(url: str, path: Path) -> None:
    with Catalog.open(url) as catalog:
        catalog.cluster("a100-pool")
        writer = sqlite3.connect(path, isolation_level=None, timeout=0)
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("ROLLBACK")
        writer.close()


def test_no_password_is_shown_of_a_url_that_is_none() -> None:
    for url in ("postgresql+psycopg://ada:s3cret@localhost:port/planner", "postgresql://ada:s3/cret@db:x/planner"):
        assert "s3" not in (said := str(refusal(url)))
        assert "is not a database URL" in said
        assert "s3" not in shown(url)


@pytest.mark.parametrize("url", ["sqlite:///a%00b.db", "sqlite:///catalog.db?timeout=%00", "a\0b.db"])
def test_a_url_that_holds_a_nul_is_refused(url: str) -> None:
    assert "is not a database URL" in str(refusal(url))
    with pytest.raises(CatalogError, match="is not a database URL"):
        upgrade(url)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("mode=ro", "takes no option 'mode'"),
        ("foo=1", "takes no option 'foo'"),
        ("timeout=soon", "timeout must be a number of seconds, not 'soon'"),
        ("timeout=nan", "timeout must be a number of seconds, not 'nan'"),
        ("timeout=-1", "timeout must be a number of seconds, not '-1'"),
        ("timeout=1&timeout=2", "timeout must be a number of seconds"),
    ],
)
def test_an_option_that_a_file_does_not_heed_is_refused(path: Path, options: str, said: str) -> None:
    before = checksum(path)
    assert said in str(refusal(f"sqlite:///{path}?{options}"))
    with pytest.raises(CatalogError, match=r"option|timeout"):
        upgrade(f"sqlite:///{path}?{options}")
    assert checksum(path) == before


def test_a_catalog_in_memory_is_refused_however_it_is_written() -> None:
    for url in ("sqlite:///file::memory:?uri=true", "sqlite:///file:x.db?mode=memory&uri=true"):
        assert "in memory" in str(refusal(url))


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file names are Unicode there")
def test_a_file_may_have_a_name_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"catalog-\xff.db")
    upgrade(str(path))
    assert path.is_file()
    with Catalog.open(str(path)) as catalog:
        assert catalog.row("vendors", "nvidia")["name"] == "NVIDIA"
    assert current(str(path)) == current(f"sqlite:///{tmp_path}/catalog-%FF.db") != ()


@pytest.mark.parametrize("revision", [core_revisions()[-1], "ae1027a6acf"])
def test_another_programs_database_with_revisions_of_its_own_is_refused_and_unchanged(
    tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "other.db"
    run(
        path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        f"INSERT INTO alembic_version VALUES ('{revision}')",
        "CREATE TABLE bookmark (id INTEGER)",
    )
    before = checksum(path)
    refusal(f"sqlite:///{path}")
    with pytest.raises(CatalogError, match=r"holds other tables \(bookmark …\) and no catalog"):
        upgrade(f"sqlite:///{path}")
    assert checksum(path) == before


def test_the_home_of_a_user_who_is_not_known_is_refused() -> None:
    assert "is in the home of nobody who is known" in str(refusal("~nobody-of-that-name/catalog.db"))
