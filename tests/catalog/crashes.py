"""A writer of the catalog that is killed at a random moment of its write, and what is there afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from catalog.databases import contents, execute, users_cluster

from planner.catalog.backup import backup
from planner.catalog.findings import ERROR
from planner.catalog.integrity import check
from planner.catalog.upgrade import current, upgrade

Contents = Mapping[str, list[tuple[Any, ...]]]

IMPORTED: Final = 1000
"""Entries of the file that is imported."""
OWN: Final = 20
"""Clusters of the user's that are there before."""
CHILD: Final = """
import sys, warnings
import alembic.command, alembic.script, numpy, planner.api, planner.catalog.backup, planner.catalog.calibrations
import planner.catalog.reader, planner.catalog.upgrade, planner.cli.catalog_import, planner.importing, sqlalchemy.orm
from planner.cli.main import main

url, action, folder = sys.argv[1:]
from planner.catalog.calibrations import CalibrationRow, store
from planner.registry import installed_registry

installed_registry()
ROWS = [
    CalibrationRow(accelerator=gpu, metric="calibrated_arithmetic", fraction=0.9, condition="9 runs", date="2026-11-24", note="")
    for gpu in ("a100-sxm4-80gb", "h100-sxm5-80gb", "l4")
]
ACTIONS = {
    "upgrade": lambda: main(["--database", url, "db", "upgrade", "-q"]),
    "downgrade": lambda: main(["--database", url, "db", "downgrade", "0001", "-q"]),
    "calibrate": lambda: store(url, ROWS),
    "import": lambda: main(["--database", url, "catalog", "import", "rows", f"{folder}/rows.json", "-q"]),
    "restore": lambda: main(["--database", url, "db", "restore", f"{folder}/copy.db", "--yes", "-q"]),
}
print("ready", flush=True)
status = ACTIONS[action]() or 0
print("done", flush=True)
sys.exit(status)
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is interrupted: the action of the child, and how the catalog is before it."""

    action: str
    prepare: Callable[[str, Path], None]


def _own_rows(url: str) -> None:
    execute(url, *(line for number in range(OWN) for line in users_cluster(f"own-{number}", nodes=number + 1)))


def _nothing(url: str, folder: Path) -> None:
    del url, folder


def _at_first_revision(url: str, folder: Path) -> None:
    del folder
    upgrade(url, "0001")
    _own_rows(url)


def _at_newest_revision(url: str, folder: Path) -> None:
    upgrade(url)
    _own_rows(url)
    entries = [
        {"entry": "clusters", "slug": f"new-{number}", "name": "New", "node": "dgx-a100-640", "nodes": 2, "source": "me",
         "confidence": "high", "note": ""}
        for number in range(IMPORTED)
    ]  # fmt: skip
    (folder / "rows.json").write_text(json.dumps({"schema": "planner.catalog.export/1", "items": entries}))


def _with_a_copy(url: str, folder: Path) -> None:
    _at_newest_revision(url, folder)
    backup(url, folder / "copy.db")
    execute(url, *users_cluster("later"))


OPERATIONS: Final = {
    "first upgrade": Operation("upgrade", _nothing),
    "upgrade": Operation("upgrade", _at_first_revision),
    "downgrade": Operation("downgrade", _at_newest_revision),
    "calibrate": Operation("calibrate", _at_newest_revision),
    "import": Operation("import", _at_newest_revision),
    "restore": Operation("restore", _with_a_copy),
}
ON_A_SERVER: Final = ("first upgrade", "upgrade", "downgrade", "calibrate", "import")
"""A restored server is upgraded first and gets the user's rows then, so it has a state in between."""


AMID: Final = "amid the write"
"""What `crash` says of a kill that came when something was written and nothing was committed."""


@dataclass(slots=True)
class Subject:
    """A database as it is before an operation and after it; how long the operation takes [s], and how long it writes [s]."""

    url: str
    folder: Path
    operation: Operation
    before: Contents
    after: Contents
    duration_s: float
    writing_s: float
    reset: Callable[[], str]


def subject(name: str, folder: Path, make: Callable[[], str], copy: Callable[[str], str]) -> Subject:
    """Prepare a database that `make` makes, and run the operation once on a copy, uninterrupted."""
    operation = OPERATIONS[name]
    original = make()
    operation.prepare(original, folder)
    whole = copy(original)
    before = seen(original)
    with writing(whole) as writes:
        started, process = start(whole, operation, folder)
        moments = [time.perf_counter()]
        while process.poll() is None:
            if writes():
                moments.append(time.perf_counter())
    duration_s = time.perf_counter() - started
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert len(moments) > 1, "it was never seen to write"
    return Subject(
        url=original, folder=folder, operation=operation, before=before, after=seen(whole), duration_s=duration_s,
        writing_s=moments[-1] - moments[1], reset=lambda: copy(original),
    )  # fmt: skip


def crash(subject: Subject, seed: int) -> str:
    """Kill the operation at a moment that `seed` picks, look, and let it run to its end.

    Three of four moments are of the write, the others of the whole run. Returns ``old`` or ``new``: what was there, and `AMID`
    where the write was hit. Raises AssertionError where it was neither, or is not sound.
    """
    url = subject.reset()
    chance = random.Random(seed)
    with writing(url) as writes:
        started, process = start(url, subject.operation, subject.folder)
        if seed % 4:
            while process.poll() is None and not writes():
                pass
            until = time.perf_counter() + chance.uniform(0, 1.1) * subject.writing_s
        else:
            until = started + chance.uniform(0, 1) * subject.duration_s
        while time.perf_counter() < until:
            pass  # to the microsecond: a calibration writes for a few thousandths of a second
        amid = writes()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        # A file says so afterwards too: its journal is left behind. A server has rolled back by then.
        amid = amid and (url.startswith("postgresql") or writes())
    found = seen(url)
    state = "new" if found == subject.after else "old"
    if state == "old":
        assert found == subject.before, difference(found, subject.before, subject.after)
    if found:
        errors = [finding for finding in check(url).findings if finding.severity == ERROR]
        assert not errors, errors
        upgrade(url, current(url)[0])
    if state == "old":
        _, process = start(url, subject.operation, subject.folder)
        _finish(process)
        assert seen(url) == subject.after
    return f"{state} {AMID}" if amid and state == "old" else state


@contextmanager
def writing(url: str) -> Iterator[Callable[[], bool]]:
    """Asks whether somebody has written to a database and not committed yet."""
    if url.startswith("sqlite"):
        journal = url.removeprefix("sqlite:///") + "-journal"
        yield lambda: os.path.exists(journal)
        return
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_xid IS NOT NULL"
    server = sa.make_url(url)
    engine = sa.create_engine(server.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield lambda: bool(connection.exec_driver_sql(query, (server.database,)).scalar())


def _finish(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out.splitlines()[-1:]) == (0, ["done"]), out + err


def start(url: str, operation: Operation, folder: Path) -> tuple[float, subprocess.Popen[str]]:
    """Start the child and wait until it is about to begin; when that was."""
    command = [sys.executable, "-c", CHILD, url, operation.action, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if line.strip() != "ready":
        raise RuntimeError(process.communicate()[1])
    return time.perf_counter(), process


def seen(url: str) -> Contents:
    """All rows; nothing where there is no table or no file."""
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return {}
    return contents(url)


def difference(found: Contents, *wanted: Contents) -> str:
    """The tables that are as in no state, with their number of rows."""
    return ", ".join(
        f"{name} {len(rows)}" for name, rows in found.items() if all(rows != each.get(name) for each in wanted)
    )  # fmt: skip


def file_in(folder: Path) -> Callable[[], str]:
    """Makes the URL of a file that is not there yet."""
    return lambda: f"sqlite:///{folder / 'original.db'}"


def copied_file(folder: Path) -> Callable[[str], str]:
    """Copies an SQLite file, or nothing where there is none, to a new place."""
    numbers = iter(range(1_000_000))

    def copy(url: str) -> str:
        path, target = Path(url.removeprefix("sqlite:///")), folder / f"{next(numbers)}" / "catalog.db"
        target.parent.mkdir()
        if path.exists():
            shutil.copy(path, target)
        return f"sqlite:///{target}"

    return copy
