"""A writer of the catalog that is killed at a random moment, and what is there afterwards."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from catalog.databases import contents, execute, users_cluster

from planner.catalog.backup import backup
from planner.catalog.findings import ERROR
from planner.catalog.integrity import check
from planner.catalog.upgrade import current, upgrade

Contents = Mapping[str, list[tuple[Any, ...]]]

IMPORTED: Final = 400
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


@dataclass(slots=True)
class Subject:
    """A database as it is before an operation and after it, and how long the operation takes [s]."""

    url: str
    folder: Path
    operation: Operation
    before: Contents
    after: Contents
    duration_s: float
    reset: Callable[[], str]


def subject(name: str, folder: Path, make: Callable[[], str], copy: Callable[[str], str]) -> Subject:
    """Prepare a database that `make` makes, and run the operation once on a copy, uninterrupted."""
    operation = OPERATIONS[name]
    original = make()
    operation.prepare(original, folder)
    whole = copy(original)
    before = seen(original)
    started, process = start(whole, operation, folder)
    assert process.stdout is not None
    while process.stdout.readline().strip() not in ("done", ""):
        pass
    duration_s = time.perf_counter() - started
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    return Subject(
        url=original, folder=folder, operation=operation, before=before, after=seen(whole), duration_s=duration_s,
        reset=lambda: copy(original),
    )  # fmt: skip


def crash(subject: Subject, seed: int) -> str:
    """Kill the operation at a moment that `seed` picks, look, and let it run to its end.

    Returns ``old`` or ``new``: what was there. Raises AssertionError where it was neither, or is not sound.
    """
    url = subject.reset()
    chance = random.Random(seed)
    # Half of the kills fall around the end, where it is committed; a busy machine takes longer than the measured run.
    moment = chance.uniform(0, 1.5) if seed % 2 else chance.uniform(0.8, 1.6)
    started, process = start(url, subject.operation, subject.folder)
    time.sleep(max(0.0, started + moment * subject.duration_s - time.perf_counter()))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
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
    return state


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
